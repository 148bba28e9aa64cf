// The pipeline as a graph in layers: sources on the left, what is written on the right.

import { byId, say, svg } from "./dom.js";
import * as format from "./format.js";

const WIDTH = 156;
const HEIGHT = 62;
const GAP_X = 40;
const GAP_Y = 16;
const PAD = 6;
const LETTERS = 22;
const SMALLEST = 0.8;

export class Graph {
  /** Draw the boxes and lines of a scene; rates come later. */
  build(scene) {
    this.boxes = boxes(scene);
    this.edges = edges(this.boxes);
    place(this.boxes, this.edges);
    const width = Math.max(...this.boxes.map((box) => box.x)) + WIDTH + PAD;
    const height = Math.max(...this.boxes.map((box) => box.y)) + HEIGHT + PAD;
    const lines = this.edges.map((edge) => (edge.path = svg("path", { class: "edge", d: curve(edge) })));
    const labels = this.edges.map((edge) => (edge.label = svg("text", { class: "flow", ...mouth(edge) })));
    const drawn = this.boxes.map((box) => (box.group = group(box)));
    const title = svg("title", {}, `Pipeline of ${scene.name || "the run"}`);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, title, ...lines, ...labels, ...drawn);
    drawing.style.maxWidth = `${width}px`;
    drawing.style.minWidth = `${width * SMALLEST}px`;
    byId("graph").replaceChildren(drawing);
  }

  clear() {
    this.boxes = null;
    byId("graph").replaceChildren();
  }

  /** Put the rates of a moment on it, and mark what takes most of a busy run's time. */
  show(moment, slow) {
    const most = moment.spent.indexOf(Math.max(...moment.spent));
    for (const box of this.boxes ?? []) {
      const { rate, text } = box.flow(moment);
      box.rate = rate;
      const mark = slow === "engine" ? box.node === most : box.stage === slow;
      say(box.group.lastChild, mark ? `${format.rate(rate)} · slowest` : text);
      box.group.classList.toggle("slow", mark);
    }
    for (const edge of this.edges ?? []) {
      const rate = edge.to.single ? edge.to.rate : edge.from.rate;
      edge.path.setAttribute("stroke-width", (1.2 + Math.log10(1 + rate) * 0.9).toFixed(1));
      edge.path.classList.toggle("still", rate === 0);
      say(edge.label, rate ? format.short(rate < 10 ? +rate.toFixed(1) : Math.round(rate)) : "");
    }
  }
}

function boxes(scene) {
  const made = scene.nodes.map((node, i) => {
    const [name, source] = node.op === "input" ? scene.inputs[node.input] : [node.op, shortTitle(node)];
    const stage = node.op === "input" ? "source" : "engine";
    const flow = (moment) => {
      const one = moment.operators[i] ?? {};
      const keys = one.keys ? ` · ${format.short(one.keys)} keys` : "";
      return { rate: one.rate ?? 0, text: `${format.rate(one.rate ?? 0)}${keys}` };
    };
    return { title: name, detail: source, full: node.title, stage, flow, from: node.from, node: i };
  });
  const inner = made.length;
  for (const output of scene.outputs) {
    const given = (moment) => counted(moment.outputs[output.name]);
    made.push({ title: output.name, detail: "output", full: `output ${output.name}`, stage: "output", flow: given, from: [output.node] });
    const at = made.length - 1;
    if (output.sinks.length) {
      const full = output.sinks.join(", ");
      made.push({ title: many(output.sinks, "sink"), detail: full, full, stage: "sink", flow: given, from: [at] });
    }
    if (output.rules.length) {
      const names = output.rules.map(([name]) => name);
      const flow = (moment) => counted(sum(names.map((name) => moment.alerts[name] ?? [0, 0])));
      made.push({ title: many(names, "rule"), detail: names.join(", "), full: names.join(", "), stage: "engine", rules: true, flow, from: [at] });
    }
  }
  const rules = made.flatMap((box, i) => (box.rules ? [i] : []));
  if (rules.length && scene.alerts.length) {
    const full = scene.alerts.join(", ");
    const flow = (moment) => counted(sum(Object.values(moment.alerts)));
    made.push({ title: "alerts", detail: full, full, stage: "sink", flow, from: rules });
  }
  made.forEach((box, i) => {
    box.single = box.from.length === 1 && !box.rules;
    box.layer = box.from.length ? Math.max(...box.from.map((from) => made[from].layer)) + 1 : 0;
    box.order = i;
  });
  const last = Math.max(...made.slice(0, inner).map((box) => box.layer)) + 1;
  for (const box of made.slice(inner)) if (box.stage === "output") box.layer = last;
  for (const box of made.slice(inner)) if (box.stage !== "output") box.layer = made[box.from[0]].layer + 1;
  return made;
}

const many = (all, word) => (all.length === 1 ? word : `${all.length} ${word}s`);
const sum = (pairs) => pairs.reduce(([n, rate], [m, more]) => [n + m, rate + more], [0, 0]);
const counted = ([count, rate] = [0, 0]) => ({ rate, text: `${format.rate(rate)} · ${format.short(count)}` });

/** The arguments of a verb, without its name and the aggregates. */
function shortTitle(node) {
  const text = node.title.replace(/^\.?\w+\(/, "").replace(/\)(\.agg\(.*)?$/, "");
  return text.replaceAll('"', "");
}

function edges(all) {
  return all.flatMap((to) => to.from.map((from) => ({ from: all[from], to })));
}

/** Columns by layer; in a column, boxes stand in the order of what feeds them. */
function place(all) {
  const layers = [];
  for (const box of all) (layers[box.layer] ??= []).push(box);
  for (const [i, layer] of layers.filter(Boolean).entries()) {
    for (const box of layer) box.wish = box.from.length ? mean(box.from.map((from) => all[from].y)) : box.order;
    layer.sort((a, b) => a.wish - b.wish || a.order - b.order);
    let free = PAD;
    for (const box of layer) {
      box.x = PAD + i * (WIDTH + GAP_X);
      box.y = Math.max(free, box.from.length ? box.wish : free);
      free = box.y + HEIGHT + GAP_Y;
    }
  }
}

const mean = (values) => values.reduce((all, each) => all + each, 0) / values.length;

function curve({ from, to }) {
  const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
  const bend = Math.min(GAP_X, x2 - x1) / 2;
  const turn = x2 - bend * 2;
  return `M${x1} ${y1}H${turn}C${turn + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

function mouth({ to }) {
  return { x: to.x - 6, y: to.y + HEIGHT / 2 - 6, "text-anchor": "end" };
}

function group(box) {
  const text = (y, kind, value) => svg("text", { x: box.x + 11, y: box.y + y, class: kind }, value);
  return svg(
    "g", { class: `box ${box.stage}` },
    svg("title", {}, box.full),
    svg("rect", { x: box.x, y: box.y, width: WIDTH, height: HEIGHT, rx: 7 }),
    text(19, "title", cut(box.title, LETTERS - 4)),
    text(35, "detail", cut(box.detail, LETTERS)),
    text(52, "rate", "–"),
  );
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
