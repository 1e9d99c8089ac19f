// Keys for one hand. Those of the station are the terminal's own and come from there; the page adds its few.

import { byId, make } from "./dom.js";

const OWN = [["?", "these keys"], ["0", "whole field"], ["+ -", "zoom"], ["c", "camera panel"], ["d", "light or dark"], ["Esc", "close, or focus nothing"]];
const MOUSE = [["click", "select the sperm there"], ["click a ring", "focus it"], ["Shift click", "select beside a ring"], ["right click a ring", "release it"], ["wheel, drag", "zoom, pan"]];

export class Keys {
  // actions: key -> function; station(key): one of the station's own keys
  constructor(actions, station) {
    this.station = [];
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, dialog[open] form")) return;
      const own = actions[event.key];
      if (own) own();
      else if (this.station.some((help) => help.key === event.key)) station(event.key);
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
      make("h2", {}, "Keys"),
      make("table", {}, ...rows(this.station.map((help) => [help.key, help.does])), ...rows(OWN)),
      make("h2", {}, "Mouse"),
      make("table", {}, ...rows(MOUSE)),
    );
    dialog.showModal();
  }
}

// Ask for a line of text; resolves to null where the operator thinks better of it.
export function prompt(title, fields) {
  const dialog = byId("prompt");
  return new Promise((resolve) => {
    const inputs = fields.map((field) => make("input", { maxlength: 500, value: field.value ?? "", "aria-label": field.label }));
    const form = make("form", { method: "dialog" }, make("h2", {}, title),
      ...inputs.map((input, k) => make("label", {}, fields[k].label, " ", input)),
      make("div", { class: "row" },
        make("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"),
        make("button", { value: "ok" }, "OK")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      dialog.close("ok");
    });
    dialog.replaceChildren(form);
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? inputs.map((input) => input.value.trim()) : null), { once: true });
    dialog.showModal();
    inputs[0]?.focus();
  });
}
