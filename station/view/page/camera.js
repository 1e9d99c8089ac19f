// The camera panel: exposure, gain, trigger, how the picture is exposed, how many frames come, the objective.

import { byId, make, setText } from "./dom.js";

export class CameraPanel {
  // ask(name, fields): asks the station
  constructor(ask) {
    this.ask = ask;
    this.root = byId("camera");
    this.rate = make("p");
    this.canvas = make("canvas", { width: 256, height: 80 });
    this.saturation = make("p");
    this.exposure = make("p");
    this.scale = make("p");
    this.fields = {
      exposure_us: make("input", { inputmode: "decimal", maxlength: 12 }),
      gain: make("input", { inputmode: "decimal", maxlength: 12 }),
    };
    this.trigger = make("select", { onchange: () => this.ask("camera", { trigger: this.trigger.value }) },
      ...["off", "line1", "line2", "line3", "line4"].map((word) => make("option", { value: word }, word)));
    this.form = make("form", { onsubmit: (event) => {
      event.preventDefault();
      this.#set();
    } },
      make("label", {}, "exposure in \u00b5s", this.fields.exposure_us), make("label", {}, "gain", this.fields.gain),
      make("div", { class: "row" }, make("button", {}, "Set")), make("label", {}, "trigger", this.trigger));
    this.objective = make("select", { "aria-label": "Objective", onchange: () =>
      this.ask("objective", { objective: this.objective.value }) });
    this.root.append(make("h2", {}, "Camera"), this.rate, this.exposure, this.form,
      make("h2", {}, "Grey levels"), this.canvas, this.saturation,
      make("h2", {}, "Objective"), make("label", {}, "in use", this.objective), this.scale);
  }

  toggle() {
    this.root.hidden = !this.root.hidden;
  }

  show(overview) {
    if (this.root.hidden) return;
    setText(this.rate, overview.fps === null ? "frame rate not known yet" : `${overview.fps.toFixed(1)} frames/s measured`);
    const known = [overview.exposure && `exposure ${overview.exposure}`, overview.gain && `gain ${overview.gain}`].filter(Boolean);
    setText(this.exposure, known.join(", ") || "This source has no exposure or gain.");
    this.form.hidden = !overview.camera || !overview.commands;
    if (document.activeElement !== this.trigger && overview.trigger) this.trigger.value = overview.trigger;
    setText(this.scale, overview.um_per_px ? `${overview.um_per_px.toPrecision(4)} \u00b5m/px` : "scale not set: press l and measure a length");
    this.#objectives(overview);
    if (overview.histogram) this.#histogram(overview.histogram);
  }

  #set() {
    const given = {};
    for (const [name, input] of Object.entries(this.fields)) {
      const value = Number(input.value.replace(",", "."));
      if (input.value.trim() && Number.isFinite(value)) given[name] = value;
    }
    this.ask("camera", given);
    for (const input of Object.values(this.fields)) input.value = "";
  }

  #objectives(overview) {
    const names = Object.keys(overview.objectives).sort();
    const wanted = overview.objective ? names : ["", ...names];
    if (wanted.join("|") !== [...this.objective.options].map((option) => option.value).join("|"))
      this.objective.replaceChildren(...wanted.map((name) => make("option", { value: name }, name || "none named")));
    if (document.activeElement !== this.objective) this.objective.value = overview.objective;
    this.objective.parentElement.hidden = !names.length;
  }

  #histogram(found) {
    const context = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    const most = Math.max(...found.counts, 1);
    context.clearRect(0, 0, width, height);
    context.fillStyle = getComputedStyle(this.root).getPropertyValue("--bar");
    found.counts.forEach((count, k) => {
      const tall = Math.sqrt(count / most) * height;
      context.fillRect((k * width) / found.counts.length, height - tall, width / found.counts.length - 1, tall);
    });
    setText(this.saturation, `${(100 * found.saturated).toFixed(2)} % saturated, ${(100 * found.black).toFixed(2)} % black`);
    this.saturation.className = found.saturated > 0.001 ? "warn" : "";
  }
}
