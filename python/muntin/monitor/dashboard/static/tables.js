// Top keys, the latest rows, and samples of late and invalid ones.

import { byId, el, say, table } from "./dom.js";
import * as format from "./format.js";

/** The keys with the greatest values; a press on one draws it. */
export function top(news, shape, measure, draw) {
  const box = byId("top-keys");
  if (!news.keys) {
    say(byId("top-note"), "");
    box.replaceChildren(el("p", { class: "empty" }, shape.by.length ? "This output has no numbers" : "This output has no keys"));
    return;
  }
  const when = shape.x === null ? "" : shape.shared ? `in the window up to ${format.moment(news.at)}` : `last values, a minute up to ${format.moment(news.at)}`;
  say(byId("top-note"), `${measure} ${when}, ${format.whole(news.of)} key${news.of === 1 ? "" : "s"}`);
  const most = Math.max(...news.bars.map((value) => Math.abs(value ?? 0)), 0) || 1;
  const rows = news.keys.map((key, i) => {
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${(Math.abs(news.bars[i] ?? 0) / most) * 100}%`;
    const name = format.key(key);
    const button = el("button", { type: "button", class: "link", title: `Draw ${name}`, "data-key": name }, name);
    button.addEventListener("click", () => draw(key));
    return el("tr", {}, el("th", { scope: "row" }, button), el("td", { class: "number" }, value(news.values[i])), el("td", { class: "bars", "aria-hidden": "true" }, bar));
  });
  const focused = document.activeElement?.dataset?.key;
  box.replaceChildren(
    el(
      "table", { class: "top" },
      el("caption", { class: "hidden" }, `Keys with the greatest ${measure}`),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, shape.by.join(" · ")), el("th", { scope: "col", class: "number" }, measure), el("td", { "aria-hidden": "true" }))),
      el("tbody", {}, ...rows),
    ),
  );
  if (focused !== undefined) box.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

export function latest(news, output) {
  say(byId("rows-note"), `${output}: ${format.whole(news.came)} so far`);
  const reversed = Object.fromEntries(Object.entries(news.latest).map(([name, values]) => [name, values.toReversed()]));
  byId("rows").replaceChildren(table(`The latest rows of ${output}`, reversed));
}

export function samples({ late, invalid, undecodable }) {
  const parts = [];
  const add = (title, columns) => parts.push(el("h3", {}, title), el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": title }, table(title, columns)));
  const filled = (columns) => Object.fromEntries(Object.entries(columns).filter(([, values]) => values.some((each) => each !== null)).map(([name, values]) => [name, values.toReversed().slice(0, 5)]));
  for (const [name, columns] of Object.entries(late)) add(`Late rows of ${name}`, filled(columns));
  for (const [name, columns] of Object.entries(invalid)) add(`Invalid rows of ${name}`, filled(columns));
  if (undecodable.length) {
    const names = ["input", "file", "line", "position", "text", "detail"];
    const newest = undecodable.slice(-5).reverse();
    add("What was no row", Object.fromEntries(names.map((name, i) => [name, newest.map((one) => one[i])])));
  }
  byId("samples").replaceChildren(...(parts.length ? parts : [el("p", { class: "empty" }, "None so far")]));
}

const value = (each) => (typeof each === "number" ? (Number.isInteger(each) ? format.whole(each) : each.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).replaceAll(",", "\u202f")) : (each ?? "null"));
