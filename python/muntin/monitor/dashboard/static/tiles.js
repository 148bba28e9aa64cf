// The numbers at the top.

import { byId, el, say, svg } from "./dom.js";
import * as format from "./format.js";

const TILES = [
  ["rate", "Rows a second"],
  ["rows", "Rows read"],
  ["delay", "Watermark delay"],
  ["late", "Late records"],
  ["invalid", "Invalid records"],
  ["state", "State"],
  ["saved", "Checkpoint age"],
];

export class Tiles {
  constructor() {
    this.tiles = new Map(TILES.map(([id, label]) => [id, tile(label)]));
    byId("tiles").replaceChildren(...[...this.tiles.values()].map((each) => each.node));
    this.spark = svg("polyline", { class: "spark" });
    const frame = svg("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" }, this.spark);
    this.tiles.get("rate").node.append(frame);
    this.saved = null;
  }

  clear() {
    for (const each of this.tiles.values()) {
      say(each.value, "–");
      say(each.note, "\u00a0");
    }
    this.spark.removeAttribute("points");
    this.saved = null;
  }

  show(moment, running) {
    const set = (id, value, note, warn = false) => {
      const each = this.tiles.get(id);
      say(each.value, value);
      say(each.note, note || "\u00a0");
      each.node.classList.toggle("warn", warn);
    };
    const part = (count) => (moment.rows ? `${format.percent(count / moment.rows)} of the rows read` : "");
    const average = moment.seconds ? moment.rows / moment.seconds : 0;
    set("rate", running ? format.short(Math.round(moment.rate)) : format.short(Math.round(average)), "");
    set("rows", format.whole(moment.rows), `in ${format.span(moment.seconds)}`);
    const marks = Object.values(moment.watermarks).filter((mark) => mark.at !== null);
    const last = marks.sort((a, b) => a.at - b.at)[0];
    set("delay", last ? format.span(last.delay) : "–", last ? `at ${format.moment(last.at, { date: true })}` : running ? "no row yet" : "all inputs are at their end");
    set("late", format.whole(moment.late), part(moment.late));
    set("invalid", format.whole(moment.invalid), part(moment.invalid));
    const sum = (name) => moment.operators.reduce((all, one) => all + (one[name] ?? 0), 0);
    set("state", format.bytes(sum("bytes")), `${format.short(sum("keys"))} keys`);
    this.saved = moment.saved;
    this.age(moment.at);
    if (running) this.sparks(moment.sparks);
    else this.spark.removeAttribute("points");
    if (!running) say(this.tiles.get("rate").note, "average of the run");
  }

  /** The age of the last checkpoint, by the server's clock. */
  age(now) {
    const { value, note } = this.tiles.get("saved");
    const saved = this.saved;
    say(value, saved ? format.span(Math.max(Math.round(now - saved.at), 0)) : "none");
    say(note, saved ? `no. ${saved.number}, ${format.bytes(saved.bytes)}, took ${format.span(saved.seconds)}` : "nothing is kept");
  }

  sparks(values) {
    if (values.length < 2) return;
    const top = Math.max(...values) || 1;
    const step = 100 / (values.length - 1);
    const points = values.map((value, i) => `${(i * step).toFixed(1)},${(23 - (value / top) * 22).toFixed(1)}`);
    this.spark.setAttribute("points", points.join(" "));
  }
}

function tile(label) {
  const value = el("p", { class: "value" }, "–");
  const note = el("p", { class: "note" }, "\u00a0");
  return { value, note, node: el("div", { class: "tile" }, el("h2", {}, label), value, note) };
}
