// How far the reading of each partition is behind. Few partitions are rows; of many each is a thin
// column, and those furthest behind are rows, too.

import { byId, el, say } from "./dom.js";
import * as format from "./format.js";

const STATES = {
  reading: "reading",
  waiting: "waiting for rows",
  idle: "idle",
  paused: "paused",
  lost: "out of reach",
};
const UNKNOWN = "unknown";
const ROWS_MAX = 24;
const FURTHEST = 8;
const FULL_MIN = 1000;
const FADE = 0.97;

export class Sources {
  constructor() {
    this.inputs = new Map();
  }

  clear() {
    this.inputs.clear();
    byId("sources").replaceChildren();
    byId("sources-panel").hidden = true;
  }

  /** `lags` has one entry an input: names of topics, and columns with a value for each partition. */
  show(lags) {
    byId("sources-panel").hidden = !lags.length;
    for (const lag of lags) {
      if (!this.inputs.has(lag.input)) {
        const input = new Input(lag.input);
        this.inputs.set(lag.input, input);
        byId("sources").append(input.node);
      }
      this.inputs.get(lag.input).show(lag, lags.length > 1);
    }
  }
}

class Input {
  constructor(name) {
    this.name = name;
    this.peak = 0;
    this.at = 0;
    this.lag = null;
    this.title = el("h3", {});
    this.note = el("p", { class: "quiet" });
    this.counts = el("ul", { class: "legend plain states" });
    this.strip = el("div", { class: "strip", tabindex: "0", role: "slider", "aria-label": `Partitions of ${name}`, "aria-valuemin": "0", hidden: true });
    this.readout = el("p", { class: "quiet readout", hidden: true }, "Point at a partition, or move along them with the arrow keys");
    this.pointed = false;
    this.furthest = el("p", { class: "quiet", hidden: true }, "Furthest behind");
    this.rows = el("ul", { class: "partitions plain" });
    this.node = el("div", { class: "source" }, el("div", { class: "source-head" }, this.title, this.note, this.counts), this.strip, this.readout, this.furthest, this.rows);
    this.strip.addEventListener("keydown", (event) => this.key(event));
    this.strip.addEventListener("pointermove", (event) => {
      const at = [...this.strip.children].indexOf(event.target.closest(".column"));
      if (at >= 0) this.point(at);
    });
    this.strip.addEventListener("focus", () => this.point(this.at));
  }

  show(lag, named) {
    this.lag = lag;
    const count = lag.partition.length;
    const known = lag.rows.filter((rows) => rows !== null);
    const behind = known.reduce((sum, rows) => sum + rows, 0);
    const oldest = Math.max(0, ...lag.seconds.filter((each) => each !== null));
    this.peak = Math.max(...known, this.peak * FADE, FULL_MIN);
    say(this.title, named ? this.name : lag.topics.join(", "));
    const topics = named ? `${lag.topics.join(", ")}: ` : "";
    say(this.note, `${topics}${behind ? `${format.short(behind)} row${behind === 1 ? "" : "s"} behind${oldest ? ` by up to ${format.span(oldest)}` : ""}` : known.length === count ? "caught up" : "lag unknown"}`);
    this.states(lag);
    const many = count > ROWS_MAX;
    this.strip.hidden = this.readout.hidden = this.furthest.hidden = !many;
    const every = lag.partition.map((_, i) => i);
    if (many) {
      this.columns();
      const far = every.filter((i) => lag.rows[i]).sort((a, b) => lag.rows[b] - lag.rows[a]).slice(0, FURTHEST);
      this.furthest.hidden = !far.length;
      this.bars(far);
    } else this.bars(every);
  }

  /** How many partitions are in each state; the colours are explained by it. */
  states(lag) {
    const counts = new Map();
    for (const state of lag.state) counts.set(state ?? UNKNOWN, (counts.get(state ?? UNKNOWN) ?? 0) + 1);
    const shown = [...Object.keys(STATES), UNKNOWN].filter((state) => counts.has(state));
    const wanted = shown.join();
    if (this.counts.dataset.shown !== wanted) {
      this.counts.dataset.shown = wanted;
      this.counts.replaceChildren(...shown.map((state) => el("li", {}, el("span", { class: `swatch state-${state}`, "aria-hidden": "true" }), el("span", {}))));
    }
    shown.forEach((state, i) => say(this.counts.children[i].lastChild, `${counts.get(state)} ${STATES[state] ?? "not known yet"}`));
  }

  bars(which) {
    while (this.rows.childElementCount > which.length) this.rows.lastChild.remove();
    while (this.rows.childElementCount < which.length) {
      const bar = el("span", { class: "fill" });
      this.rows.append(el("li", {}, el("span", { class: "name" }), el("span", { class: "track", "aria-hidden": "true" }, bar), el("span", { class: "number" }), el("span", { class: "number age" }), el("span", { class: "what" })));
    }
    which.forEach((i, at) => {
      const [name, track, rows, age, what] = this.rows.children[at].children;
      const { rows: behind, seconds } = { rows: this.lag.rows[i], seconds: this.lag.seconds[i] };
      say(name, this.called(i));
      name.title = name.textContent;
      track.firstChild.style.width = this.share(i);
      track.firstChild.className = `fill state-${this.lag.state[i] ?? UNKNOWN}`;
      say(rows, behind === null ? "–" : behind ? `${format.short(behind)} row${behind === 1 ? "" : "s"}` : "0");
      say(age, behind && seconds !== null ? format.span(seconds) : "");
      say(what, STATES[this.lag.state[i]] ?? "");
      what.className = `what state-text-${this.lag.state[i] ?? UNKNOWN}`;
    });
  }

  columns() {
    const count = this.lag.partition.length;
    while (this.strip.childElementCount > count) this.strip.lastChild.remove();
    while (this.strip.childElementCount < count) this.strip.append(el("span", { class: "column" }, el("span", { class: "fill" })));
    for (let i = 0; i < count; i++) {
      const fill = this.strip.children[i].firstChild;
      fill.className = `fill state-${this.lag.state[i] ?? UNKNOWN}`;
      fill.style.height = this.share(i);
    }
    this.strip.setAttribute("aria-valuemax", String(count - 1));
    if (this.pointed) this.point(Math.min(this.at, count - 1));
  }

  point(at) {
    this.strip.children[this.at]?.classList.remove("here");
    this.at = at;
    this.pointed = true;
    this.strip.children[at].classList.add("here");
    const behind = this.lag.rows[at];
    const rows = behind === null ? "lag unknown" : behind ? `${format.whole(behind)} row${behind === 1 ? "" : "s"} behind` : "caught up";
    const age = behind && this.lag.seconds[at] !== null ? `, ${format.span(this.lag.seconds[at])}` : "";
    const state = STATES[this.lag.state[at]];
    const text = `${this.called(at)}: ${rows}${age}${state ? `, ${state}` : ""}`;
    say(this.readout, text);
    this.strip.setAttribute("aria-valuenow", String(at));
    this.strip.setAttribute("aria-valuetext", text);
  }

  key(event) {
    const last = this.lag.partition.length - 1;
    const steps = { ArrowLeft: this.at - 1, ArrowDown: this.at - 1, ArrowRight: this.at + 1, ArrowUp: this.at + 1, Home: 0, End: last, PageUp: this.at + 10, PageDown: this.at - 10 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.point(Math.min(Math.max(steps[event.key], 0), last));
  }

  called(i) {
    const number = this.lag.partition[i];
    return this.lag.topics.length > 1 ? `${this.lag.topics[this.lag.topic[i]]} ${number}` : `partition ${number}`;
  }

  share(i) {
    const rows = this.lag.rows[i];
    return rows ? `max(2px, ${((rows / this.peak) * 100).toFixed(2)}%)` : "0";
  }
}
