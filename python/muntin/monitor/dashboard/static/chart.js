// Lines over time, drawn by uPlot when there is something new and at no other time.

import { byId, el, say } from "./dom.js";
import * as format from "./format.js";

const POINTS_MAX = 600;
const COLOURS = 8;
const DASHES = [[], [7, 4], [2, 3]];

export class Chart {
  /** `removed` is called with the number of a key that is to be drawn no more. */
  constructor(removed) {
    this.box = byId("chart");
    this.legend = byId("legend");
    this.removed = removed;
    this.keys = [];
    this.lines = [];
    this.values = [];
    this.plot = null;
    this.waiting = 0;
    new ResizeObserver(() => this.resize()).observe(this.box);
  }

  /** Draw these keys from now on. */
  choose(keys, measure) {
    this.keys = keys.map(format.key);
    this.measure = measure;
    this.lines = keys.map(() => ({ x: [], y: [] }));
    this.label();
    this.rebuild();
  }

  /** Take new points: columns `k`, `x`, `y`. */
  add({ reset, k, x, y }) {
    if (reset) this.lines = this.keys.map(() => ({ x: [], y: [] }));
    for (let i = 0; i < k.length; i++) put(this.lines[k[i]], x[i], y[i]);
    this.soon();
  }

  /** Make the plot anew, in the colours of the theme. */
  rebuild() {
    this.plot?.destroy();
    this.plot = null;
    this.paint();
    this.soon();
  }

  soon() {
    this.waiting ||= requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  draw() {
    const data = aligned(this.lines);
    if (!data[0].length) {
      if (this.plot) this.rebuildEmpty();
      return;
    }
    if (this.plot) this.plot.setData(data);
    else this.make(data);
    this.tell(null);
  }

  rebuildEmpty() {
    this.plot.destroy();
    this.plot = null;
    this.box.replaceChildren(el("p", { class: "empty" }, "No rows of these keys"));
  }

  make(data) {
    this.box.replaceChildren();
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--quiet").trim();
    const line = style.getPropertyValue("--line").trim();
    const font = `12px ${style.getPropertyValue("--font").trim()}`;
    const axis = { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
    const series = this.keys.map((label, i) => ({
      label,
      stroke: style.getPropertyValue(`--series-${(i % COLOURS) + 1}`).trim(),
      // thick lines cost ten times as much where there is no graphics card
      width: this.keys.length > 6 ? 1 : 1.75,
      dash: DASHES[Math.floor(i / COLOURS) % DASHES.length],
      spanGaps: true,
      points: { show: data[0].length < 3, size: 5 },
    }));
    this.plot = new uPlot(
      {
        ...this.size(),
        tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
        legend: { show: false },
        cursor: { points: { size: 6 }, drag: { x: true, y: false } },
        scales: { x: { time: true }, y: { range: (_, low, high) => room(low, high) } },
        axes: [
          { ...axis, space: 70, size: 46, values: (_, splits) => format.times(splits) },
          { ...axis, size: 58, values: (_, splits) => splits.map(format.short) },
        ],
        series: [{}, ...series],
        hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
      },
      data,
      this.box,
    );
  }

  resize() {
    if (this.plot) this.plot.setSize(this.size());
  }

  size() {
    return { width: Math.max(this.box.clientWidth, 200), height: this.box.clientHeight || 300 };
  }

  /** The legend: a key's colour, its name, its value under the cursor or its last. */
  label() {
    this.values = this.keys.map(() => el("span", { class: "number" }, "–"));
    const items = this.keys.map((name, i) =>
      el(
        "li", {},
        el("span", { class: `swatch s${(i % COLOURS) + 1} d${Math.floor(i / COLOURS) % 3}`, "aria-hidden": "true" }),
        el("span", { class: "name", title: name }, name),
        this.values[i],
        this.keys.length > 1
          ? el("button", { type: "button", class: "small", "aria-label": `Do not draw ${name}`, on: { click: () => this.removed(i) } }, "×")
          : null,
      ),
    );
    this.legend.replaceChildren(...items);
  }

  paint() {
    if (!this.lines.some((line) => line.x.length)) {
      this.box.replaceChildren(el("p", { class: "empty" }, "No rows yet"));
    }
  }

  tell(index) {
    const at = index === null || index === undefined ? null : this.plot?.data[0][index];
    this.values.forEach((node, i) => {
      const line = this.lines[i];
      const y = at === null ? line.y.at(-1) : this.plot.data[i + 1][index];
      say(node, format.short(y));
    });
    const last = Math.max(...this.lines.map((line) => line.x.at(-1) ?? -Infinity));
    const shown = at ?? (Number.isFinite(last) ? last : null);
    this.box.setAttribute("aria-label", `Lines of ${this.keys.length} keys, ${this.measure}, up to ${format.moment(last === -Infinity ? null : last, { date: true })}; the values stand in the list below`);
    this.box.dataset.at = shown === null ? "" : format.moment(shown, { date: true });
  }
}

/** Keeps a line in the order of x; a second value for one x takes the place of the first. */
function put(line, x, y) {
  const xs = line.x;
  let at = xs.length;
  while (at > 0 && xs[at - 1] > x) at--;
  if (at > 0 && xs[at - 1] === x) line.y[at - 1] = y;
  else if (at === xs.length) {
    xs.push(x);
    line.y.push(y);
  } else {
    xs.splice(at, 0, x);
    line.y.splice(at, 0, y);
  }
  if (xs.length > POINTS_MAX) {
    xs.shift();
    line.y.shift();
  }
}

/** One common x for all lines; where a line has no point there is `undefined`, which draws on. */
function aligned(lines) {
  const all = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const place = new Map(all.map((x, i) => [x, i]));
  const columns = lines.map((line) => {
    const column = new Array(all.length);
    line.x.forEach((x, i) => (column[place.get(x)] = line.y[i]));
    return column;
  });
  return [all, ...columns];
}

/** The range of y: from zero if that is near, with some air. */
function room(low, high) {
  if (low === null || high === null) return [0, 1];
  const air = (high - low || Math.abs(high) || 1) * 0.08;
  return [low >= 0 && low < high * 0.6 ? 0 : low - air, high + air];
}
