// Elements. Text goes in as text: nothing here, or elsewhere on the page, reads HTML.

export const byId = (id) => document.getElementById(id);

/** An element with attributes and children; a child that is no node becomes text. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets a text only if it differs: a text that stays costs no layout and no announcement. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The options of a select, kept if they are the same. */
export function options(select, values, chosen) {
  const wanted = JSON.stringify(values);
  if (select.dataset.values !== wanted) {
    select.dataset.values = wanted;
    select.replaceChildren(...values.map(([value, text]) => el("option", { value }, text)));
  }
  if (chosen !== undefined && select.value !== chosen) select.value = chosen;
}

/** A table of columns, with a caption for screen readers. */
export function table(caption, columns) {
  const names = Object.keys(columns);
  const rows = names.length ? columns[names[0]].length : 0;
  const right = names.map((name) => columns[name].some((value) => typeof value === "number"));
  const head = names.map((name, i) => el("th", { scope: "col", class: right[i] && "number" }, name));
  const body = Array.from({ length: rows }, (_, row) =>
    el("tr", {}, ...names.map((name, i) => cell(columns[name][row], right[i]))),
  );
  return el(
    "table", {},
    el("caption", { class: "hidden" }, caption),
    el("thead", {}, el("tr", {}, ...head)),
    el("tbody", {}, ...body),
  );
}

function cell(value, right) {
  if (value === null) return el("td", { class: "null" }, "null");
  const text = typeof value === "number" ? plain(value) : String(value).replace(/\+00:00$/, "");
  return el("td", { class: right && "number" }, text);
}

function plain(value) {
  return Number.isInteger(value) ? String(value) : String(+value.toPrecision(9));
}
