// Keys for one hand. Those of the station are the terminal's own and come from there; the page adds its few.

import { byId, make } from "./dom.js";

const OWN = [["l", "measure a length with two clicks; give an objective its scale"], ["x", "show or hide candidates that nobody follows"], ["v", "show or hide what the network looked at"], ["f", "whole field"], ["+ -", "zoom"], ["c", "camera panel"], ["d", "light or dark"]];
const DIGITS_MS = 1000; // digits that follow each other within this time make one number, as in the terminal
const HELD = ["n", "p", "ArrowDown", "ArrowUp", "PageDown", "PageUp", "+", "-", "."]; // a key held down acts once, but for these
const MOUSE = [["click", "select the sperm there"], ["click a ring", "focus it"], ["Shift click", "select beside a ring"], ["right click a ring", "release it"], ["wheel, drag", "zoom, pan"]];

export class Keys {
  #digits = "";
  #digitAt = 0;

  // actions: key -> function; ids(): the sperm there are; number(n): a number has been typed
  constructor(actions, ids, number) {
    this.station = []; // what the terminal's keys do, for the list
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, dialog[open] form")) return;
      if (byId("help").open && event.key !== "?") return;
      if (event.repeat && !HELD.includes(event.key)) {
        if (Object.hasOwn(actions, event.key)) event.preventDefault();
        return;
      }
      if (/^[0-9]$/.test(event.key)) {
        const follows = performance.now() - this.#digitAt < DIGITS_MS;
        const longer = follows ? this.#digits + event.key : event.key;
        this.#digits = ids().some((id) => String(id).startsWith(longer)) ? longer : event.key;
        this.#digitAt = performance.now();
        number(Number(this.#digits));
      } else if (Object.hasOwn(actions, event.key)) actions[event.key]();
      else return;
      event.preventDefault();
    });
  }

  // Show or hide the list.
  toggleHelp() {
    const dialog = byId("help");
    if (dialog.open) {
      dialog.close();
      return;
    }
    const rows = (keys) => keys.map(([key, does]) => make("tr", {}, make("td", {}, make("kbd", {}, key)), make("td", {}, does)));
    dialog.replaceChildren(
      make("div", {}, make("h2", {}, "Keys"),
        make("table", {}, ...rows(this.station.filter((help) => help.key !== "Ctrl-C").map((help) => [help.key, help.does])))),
      make("div", {}, make("h2", {}, "Here only"), make("table", {}, ...rows(OWN)),
        make("h2", {}, "Mouse"), make("table", {}, ...rows(MOUSE))),
    );
    dialog.showModal();
  }
}

// Ask for a line of text; resolves to null where the operator thinks better of it.
export function prompt(title, fields, does) {
  const dialog = byId("prompt");
  return new Promise((resolve) => {
    const finish = (values) => {
      dialog.close();
      resolve(values);
    };
    const inputs = fields.map((field) => make("input", { maxlength: 500, "aria-label": field.label, value: field.value ?? "" }));
    const ok = make("button", {}, does);
    const form = make("form", {}, make("h2", {}, title),
      ...inputs.map((input, k) => make("label", {}, fields[k].label, " ", input)),
      make("div", { class: "row" }, make("button", { type: "button", onclick: () => finish(null) }, "Cancel"), ok));
    form.onsubmit = (event) => {
      event.preventDefault();
      finish(inputs.map((input) => input.value.trim()));
    };
    dialog.oncancel = () => finish(null); // Escape
    dialog.replaceChildren(form);
    dialog.showModal();
    (inputs[0] ?? ok).focus();
  });
}
