// The numbers at the top.

import { byId, el, say, svg } from "./dom.js";
import * as format from "./format.js";

const TILES = [
  ["rate", "Rows a second"],
  ["rows", "Rows read"],
  ["behind", "Rows behind"],
  ["commit", "Commit age"],
  ["delay", "Watermark delay"],
  ["late", "Late records"],
  ["invalid", "Invalid records"],
  ["state", "State"],
];

const CAUSES = { fenced: "another run has the name", timeout: "no answer in time", refused: "refused by a broker", client: "the client failed" };
// later than this the age is marked: a few commits are missing
const LATE = 4;
const LATE_S = 5;

export class Tiles {
  constructor() {
    this.tiles = new Map(TILES.map(([id, label]) => [id, tile(label)]));
    byId("tiles").replaceChildren(...[...this.tiles.values()].map((each) => each.node));
    this.spark = svg("polyline", { class: "spark" });
    const frame = svg("svg", { viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" }, this.spark);
    this.tiles.get("rate").node.append(frame);
    this.commit = null;
    this.every = null;
    this.clear();
  }

  clear() {
    for (const each of this.tiles.values()) {
      say(each.value, "–");
      say(each.note, "\u00a0");
    }
    this.spark.removeAttribute("points");
    this.commit = null;
    for (const id of ["behind", "commit"]) this.tiles.get(id).node.hidden = true;
  }

  show(moment, running, every) {
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
    const behind = this.tiles.get("behind").node;
    behind.hidden = moment.behind === null;
    if (moment.behind !== null) {
      const old = moment.behind && moment.behind_seconds !== null ? `by up to ${format.span(moment.behind_seconds)}` : "";
      set("behind", moment.behind ? format.short(moment.behind) : "0", moment.behind ? old || "rows still to read" : "caught up");
    }
    this.commit = moment.commit;
    this.every = every;
    this.ended = running ? null : moment.at;
    this.about = commits(moment);
    this.age(moment.at);
    if (running) this.sparks(moment.sparks);
    else this.spark.removeAttribute("points");
    if (!running) say(this.tiles.get("rate").note, "average of the run");
  }

  /** The time since results last became visible, by the server's clock. */
  age(now) {
    const { node, value, note } = this.tiles.get("commit");
    node.hidden = !this.commit;
    if (!this.commit) return;
    const age = Math.max((this.ended ?? now) - this.commit.at, 0);
    say(value, format.span(age < 10 ? Math.round(age * 10) / 10 : Math.round(age)));
    say(note, this.about);
    const overdue = this.every !== null && this.every !== undefined && age > LATE * this.every + LATE_S;
    const bad = this.commit.outcome === "aborted" || this.commit.outcome === "failed";
    node.classList.toggle("warn", bad || (overdue && this.ended === null));
  }

  sparks(values) {
    if (values.length < 2) return;
    const top = Math.max(...values) || 1;
    const step = 100 / (values.length - 1);
    const points = values.map((value, i) => `${(i * step).toFixed(1)},${(23 - (value / top) * 22).toFixed(1)}`);
    this.spark.setAttribute("points", points.join(" "));
  }
}

/** How the last commit ended, in a few words. */
function commits({ commit, commits: count, aborts, failures, saved }) {
  if (!commit) return "";
  const lost = Object.values(aborts).reduce((sum, each) => sum + each, 0);
  if (commit.outcome === "aborted") return `aborted: ${CAUSES[commit.cause] ?? commit.cause}; ${lost} so far, repeated`;
  if (commit.outcome === "failed") return `cannot be written: ${commit.cause}; ${failures} so far`;
  if (commit.outcome === "none") return "no commit yet";
  const parts = [`no. ${saved?.number ?? count} took ${format.span(commit.seconds)}`];
  if (saved) parts.push(`state ${format.bytes(saved.bytes)}`);
  if (lost + failures) parts.push(`${lost + failures} repeated`);
  return parts.join(", ");
}

function tile(label) {
  const value = el("p", { class: "value" }, "–");
  const note = el("p", { class: "note" }, "\u00a0");
  return { value, note, node: el("div", { class: "tile" }, el("h2", {}, label), value, note) };
}
