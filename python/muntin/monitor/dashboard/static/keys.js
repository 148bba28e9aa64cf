// The picker of keys, with a search that the server answers.

import { byId, el, say } from "./dom.js";
import * as format from "./format.js";

export const KEYS_MAX = 24;
const PAUSE = 150;

export class Keys {
  /** `asked` gives the output and measure, `changed` gets the new keys, or null for the top. */
  constructor(asked, changed) {
    this.asked = asked;
    this.changed = changed;
    this.chosen = [];
    this.timer = 0;
    this.number = 0;
    const button = byId("choose");
    const picker = byId("picker");
    button.addEventListener("click", () => {
      picker.hidden = !picker.hidden;
      button.setAttribute("aria-expanded", String(!picker.hidden));
      if (!picker.hidden) {
        byId("search").focus();
        this.find();
      }
    });
    picker.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      picker.hidden = true;
      button.setAttribute("aria-expanded", "false");
      button.focus();
    });
    byId("search").addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.find(), PAUSE);
    });
    byId("top").addEventListener("click", () => changed(null));
  }

  /** These keys are drawn now. */
  show(keys) {
    this.chosen = keys;
    if (!byId("picker").hidden) this.find();
  }

  async find() {
    const number = ++this.number;
    const { output, measure } = this.asked();
    const query = new URLSearchParams({ output, measure: measure ?? "", search: byId("search").value });
    try {
      const answer = await (await fetch(`keys?${query}`)).json();
      if (number === this.number) this.list(answer);
    } catch {
      say(byId("matching"), "the server does not answer");
    }
  }

  list({ keys, values, matching }) {
    const shown = matching > keys.length ? `${format.whole(matching)} keys, the first ${keys.length}` : `${matching} keys`;
    say(byId("matching"), `${shown}; up to ${KEYS_MAX} can be drawn`);
    const drawn = new Set(this.chosen.map((key) => JSON.stringify(key)));
    const items = keys.map((key, i) => {
      const text = JSON.stringify(key);
      const box = el("input", { type: "checkbox", checked: drawn.has(text), disabled: !drawn.has(text) && drawn.size >= KEYS_MAX });
      box.addEventListener("change", () => this.toggle(key, box.checked));
      return el("li", {}, el("label", {}, box, el("span", { class: "name" }, format.key(key)), el("span", { class: "number quiet" }, format.short(values[i]))));
    });
    const had = document.activeElement?.closest("#found li");
    const at = had ? [...byId("found").children].indexOf(had) : -1;
    byId("found").replaceChildren(...items);
    if (at >= 0) byId("found").children[at]?.querySelector("input").focus();
  }

  toggle(key, on) {
    const text = JSON.stringify(key);
    const others = this.chosen.filter((each) => JSON.stringify(each) !== text);
    this.changed(on ? [...others, key] : others.length ? others : null);
  }
}
