// Wires the parts of the page to the stream of events.

import { Alerts } from "./alerts.js";
import { Chart } from "./chart.js";
import { byId, el, options, say } from "./dom.js";
import * as format from "./format.js";
import { Graph } from "./graph.js";
import { Keys, KEYS_MAX } from "./keys.js";
import { Sources } from "./sources.js";
import { Stream } from "./stream.js";
import { latest, samples, top } from "./tables.js";
import { Tiles } from "./tiles.js";

const STATES = {
  connecting: "Connecting",
  waiting: "Waiting for rows",
  running: "Live",
  ended: "Ended",
  failed: "Failed",
  lost: "Not connected",
};
const STAGES = { source: "reading", engine: "engine", sink: "writing", checkpoint: "checkpoints" };
const BUSY = 0.8;

const choice = read();
const known = { scene: null, shapes: {}, state: "connecting", moment: null, shift: 0, selected: [] };

const tiles = new Tiles();
const sources = new Sources();
const graph = new Graph();
const alerts = new Alerts();
const chart = new Chart((i) => choose({ keys: known.selected.filter((_, at) => at !== i) }));
const keys = new Keys(() => choice, (chosen) => choose({ keys: chosen }));
const stream = new Stream({ open: () => {}, scene, tick, lost });

function scene(value) {
  known.moment = null;
  known.shapes = {};
  chart.choose([], null);
  sources.clear();
  alerts.clear();
  alerts.draw();
  take(value);
}

function take(value) {
  known.shift = value.now - Date.now() / 1e3;
  if (value.nodes) {
    known.scene = value;
    say(byId("name"), value.name ?? "");
    document.title = value.name ? `${value.name} · muntin` : "muntin";
    say(byId("guarantee"), value.guarantee ? `Written: ${value.guarantee}` : "");
    graph.build(value);
  } else {
    tiles.clear();
    say(byId("guarantee"), "");
    graph.clear();
  }
  state(...value.state);
}

function tick(news) {
  known.shift = news.now - Date.now() / 1e3;
  if (news.scene) take(news.scene);
  if (news.state) state(...news.state);
  if (news.shapes) known.shapes = news.shapes;
  if (news.selection) select(news.selection);
  if (news.shapes || news.selection) controls();
  if (news.moment) show(news.moment);
  if (news.lags) sources.show(news.lags);
  if (news.series) chart.add(news.series);
  if (news.alerts) alerts.add(news.alerts);
  if (news.samples) samples(news.samples);
  if (news.notices) notices(news.notices);
  const shape = known.shapes[choice.output];
  if (news.top && shape) {
    top(news.top, shape, choice.measure, draw);
    latest(news.top, choice.output);
  }
  if (known.moment) alerts.total(known.moment.alerts);
}

/** What could not be shown; the rest of the page goes on. */
function notices(said) {
  const banner = byId("notices");
  banner.hidden = !said.length;
  say(banner, said.join("\n"));
}

function show(moment) {
  known.moment = moment;
  const running = known.state === "running";
  tiles.show(moment, running, known.scene?.every);
  graph.show(moment, running ? stages(moment.stages) : stages({}));
  const unseen = moment.unseen ? `; ${format.short(moment.unseen)} rows came too fast to be drawn` : "";
  const shape = known.shapes[choice.output];
  if (shape) say(byId("lines-note"), `${choice.measure ?? "rows"}${shape.shared ? " per window" : ""}${shape.by.length ? ` by ${shape.by.join(", ")}` : ""}${unseen}`);
}

/** The bar of where time goes; gives the stage that is slow, if the run is busy. */
function stages(parts) {
  const names = Object.keys(STAGES).filter((name) => name in parts);
  const busy = names.reduce((sum, name) => sum + parts[name], 0);
  const whole = Math.max(busy, 1);
  const slowest = names.toSorted((a, b) => parts[b] - parts[a])[0];
  const slow = busy >= BUSY ? slowest : undefined;
  const shown = [...names.map((name) => [name, STAGES[name], parts[name] / whole]), ["idle", "idle", Math.max(1 - busy, 0)]];
  const bar = byId("stages");
  const legend = byId("stage-legend");
  if (bar.childElementCount !== shown.length) {
    bar.replaceChildren(...shown.map(([name]) => el("span", { class: `stage-${name}` })));
    legend.replaceChildren(...shown.map(([name]) => el("li", {}, el("span", { class: `swatch stage-${name}`, "aria-hidden": "true" }), el("span", {}), el("span", { class: "number" }))));
  }
  shown.forEach(([, text, part], i) => {
    bar.children[i].style.width = `${part * 100}%`;
    say(legend.children[i].children[1], text);
    say(legend.children[i].children[2], format.percent(part));
  });
  bar.hidden = legend.hidden = !names.length;
  bar.setAttribute("aria-label", shown.map(([, text, part]) => `${text} ${format.percent(part)}`).join(", "));
  say(byId("busy"), !names.length ? "" : slow ? `busy; ${STAGES[slow]} takes most of the time` : "where the time goes");
  return slow;
}

function select({ output, measure, keys: drawn }) {
  choice.output = output;
  choice.measure = measure;
  known.selected = drawn;
  chart.choose(drawn, measure);
  keys.show(drawn);
}

function controls() {
  const names = (known.scene?.outputs ?? []).map((output) => [output.name, output.name]);
  const shape = known.shapes[choice.output];
  options(byId("output"), names, choice.output);
  options(byId("measure"), (shape?.measures ?? []).map((name) => [name, name]), choice.measure);
  byId("measure").disabled = !shape?.measures.length;
  byId("choose").disabled = !shape?.by.length;
}

function choose(changed) {
  Object.assign(choice, changed);
  write();
  stream.open(choice);
}

/** Draw one key more. */
function draw(key) {
  const text = JSON.stringify(key);
  const others = known.selected.filter((each) => JSON.stringify(each) !== text);
  choose({ keys: [...others.slice(-(KEYS_MAX - 1)), key] });
}

function state(name, why) {
  // what stands there before the first word of the server would only jump
  delete document.body.dataset.first;
  known.state = name;
  const pill = byId("state");
  pill.dataset.state = name;
  say(pill, STATES[name] ?? name);
  const banner = byId("banner");
  const said = { failed: `The run failed. ${why ?? ""}`, lost: "The connection is lost; the page tries again. The numbers are the last that came." }[name] ?? "";
  banner.hidden = !said;
  say(banner, said);
  if (known.moment) show(known.moment);
}

function lost() {
  // after its end a run takes its server along: that is no fault
  if (known.state === "ended" || known.state === "failed") stream.close();
  else state("lost");
}

function read() {
  const query = new URLSearchParams(location.search);
  const chosen = query.getAll("key").flatMap((text) => {
    try {
      return [JSON.parse(text)];
    } catch {
      return [];
    }
  });
  return { output: query.get("output"), measure: query.get("measure"), keys: chosen.length ? chosen : null };
}

function write() {
  const query = new URLSearchParams();
  if (choice.output) query.set("output", choice.output);
  if (choice.measure) query.set("measure", choice.measure);
  for (const key of choice.keys ?? []) query.append("key", JSON.stringify(key));
  history.replaceState(null, "", `?${query}`);
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  say(byId("theme"), dark ? "Light theme" : "Dark theme");
  return dark;
}

byId("theme").addEventListener("click", () => {
  const next = theme() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("muntin-theme", next);
  } catch {
    // the choice holds for this page, then
  }
  theme();
  chart.rebuild();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  theme();
  chart.rebuild();
});
byId("output").addEventListener("change", (event) => choose({ output: event.target.value, measure: null, keys: null }));
byId("measure").addEventListener("change", (event) => choose({ measure: event.target.value }));
setInterval(() => {
  const now = Date.now() / 1e3 + known.shift;
  if (known.state !== "running" || !known.scene) return;
  tiles.age(now);
  say(byId("clock"), `for ${format.span(Math.round(now - known.scene.started))}`);
}, 1000);

theme();
stream.open(choice);
