// Alerts as they come, with filters; a press on one shows its row.

import { byId, el, options, say, svg } from "./dom.js";
import * as format from "./format.js";

const KEPT = 1000;
const SHOWN = 100;
const EVERY = 250;
const SAID_EVERY = 5000;
const LEVELS = {
  critical: "critical", error: "critical", fatal: "critical", high: "high", major: "high",
  warning: "warning", medium: "warning", med: "warning", minor: "warning",
  info: "info", low: "info", notice: "info",
};
const SHAPES = {
  critical: "M5 1h6l4 4v6l-4 4H5l-4-4V5z",
  high: "M8 1l7 7-7 7-7-7z",
  warning: "M8 1.5l7 13H1z",
  info: "M8 1a7 7 0 1 0 .01 0z",
  other: "M2 2h12v12H2z",
};

export class Alerts {
  constructor() {
    this.clear();
    this.timer = 0;
    this.saidAt = 0;
    this.unsaid = 0;
    for (const id of ["rule", "severity"]) {
      byId(id).addEventListener("change", () => {
        this.opened = null;
        this.nodes.clear();
        this.draw();
      });
    }
  }

  clear() {
    this.rows = [];
    this.opened = null;
    this.nodes = new Map();
    this.first = true;
  }

  /** New alerts by columns, oldest first. */
  add({ columns }) {
    const ids = columns.id ?? [];
    const rows = ids.map((_, i) => Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values[i]])));
    this.rows.push(...rows);
    this.rows.splice(0, Math.max(this.rows.length - KEPT, 0));
    if (!this.first && rows.length) this.announce(rows);
    this.first = false;
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.draw();
    }, EVERY);
  }

  total(counts) {
    const all = Object.values(counts).reduce((sum, [count]) => sum + count, 0);
    const held = this.opened ? ", the list waits while one is open" : "";
    const kept = (this.rows.length < all ? `, ${format.whole(this.rows.length)} of them here` : "") + held;
    say(byId("alerts-note"), all ? `${format.whole(all)} in all${kept}` : "");
  }

  /** Shows the newest that pass the filters; a list in which somebody reads stands still. */
  draw() {
    if (this.opened) return;
    const values = (name) => [["", "all"], ...[...new Set(this.rows.map((row) => row[name]))].sort().map((each) => [each, each])];
    for (const id of ["rule", "severity"]) {
      const chosen = byId(id).value;
      options(byId(id), values(id));
      byId(id).value = values(id).some(([value]) => value === chosen) ? chosen : "";
    }
    const [rule, severity] = [byId("rule").value, byId("severity").value];
    const shown = this.rows.filter((row) => (!rule || row.rule === rule) && (!severity || row.severity === severity)).slice(-SHOWN).reverse();
    const nodes = new Map(shown.map((row) => [row.id, this.nodes.get(row.id) ?? this.item(row)]));
    sync(byId("alerts"), [...nodes.values()]);
    this.nodes = nodes;
    byId("alerts").hidden = !shown.length;
    const empty = byId("no-alerts");
    empty.hidden = shown.length > 0;
    say(empty, this.rows.length ? "No alert matches the filters" : "No alerts yet");
  }

  item(row) {
    const level = LEVELS[row.severity?.toLowerCase()] ?? "other";
    const icon = svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: SHAPES[level] }));
    const button = el(
      "button", { type: "button", class: "alert", "aria-expanded": "false" },
      el("span", { class: `severity ${level}` }, icon, row.severity),
      el("span", { class: "message" }, row.message || row.rule),
      el("time", { class: "number quiet", datetime: row.time }, timeOfDay(row.time)),
    );
    const item = el("li", {}, button);
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") === "true";
      this.opened?.close();
      if (open) {
        this.draw();
        return;
      }
      const shown = details(row);
      item.append(shown);
      button.setAttribute("aria-expanded", "true");
      this.opened = {
        close: () => {
          shown.remove();
          button.setAttribute("aria-expanded", "false");
          this.opened = null;
        },
      };
    });
    return item;
  }

  announce(rows) {
    this.unsaid += rows.length;
    if (Date.now() - this.saidAt < SAID_EVERY) return;
    const last = rows.at(-1);
    say(byId("said"), `${this.unsaid} new alert${this.unsaid > 1 ? "s" : ""}, the last: ${last.severity}, ${last.message || last.rule}`);
    this.saidAt = Date.now();
    this.unsaid = 0;
  }
}

function timeOfDay(time) {
  const [day, clock] = String(time ?? "").split("T");
  return /^\d/.test(day) ? (clock ?? "").slice(0, 8) : `${day} ${clock ?? ""}`.trim();
}

function details(row) {
  const pairs = [["rule", `${row.rule}, version ${row.version}`], ["output", row.output], ["time", String(row.time).replace("T", " ")], ["score", row.score]];
  if (row.shadow) pairs.push(["shadow", "yes"]);
  for (const [name, value] of Object.entries(parsed(row.values))) pairs.push([name, value]);
  return el("dl", {}, ...pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value === null ? "null" : String(typeof value === "object" ? JSON.stringify(value) : value)))));
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return { values: text };
  }
}

/** Makes the children these nodes, and moves none that stands right: focus and scroll stay. */
function sync(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}
