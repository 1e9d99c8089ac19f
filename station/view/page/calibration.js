// Measures a length in the picture with two clicks; with the true length it gives an objective its scale.

import { prompt } from "./keys.js";

export class Calibration {
  // field: where the clicks come from; say(text, well): where words go; keep({objective, length_px, length_um})
  constructor(field, say, keep) {
    this.field = field;
    this.say = say;
    this.keep = keep;
    this.objective = ""; // the one in use
  }

  toggle() {
    if (this.field.ruler) {
      this.stop();
      return;
    }
    this.field.ruler = [];
    this.field.redraw();
    this.say("Measure: click the two ends of a length, for instance on a stage micrometer.", true);
  }

  stop() {
    this.field.ruler = null;
    this.field.redraw();
  }

  async click(x, y) {
    const points = this.field.ruler;
    if (points.length === 2) return;
    points.push([x, y]);
    this.field.redraw();
    if (points.length < 2) return;
    const px = Math.hypot(points[1][0] - points[0][0], points[1][1] - points[0][1]);
    const known = this.field.umPerPx ? `, ${(px * this.field.umPerPx).toFixed(1)} \u00b5m at the present scale` : "";
    const given = await prompt(`${px.toFixed(1)} px${known}`, [
      { label: "True length in \u00b5m" }, { label: "Objective, such as 40x", value: this.objective },
    ], "Keep as its scale");
    this.stop();
    if (!given?.[0]) return;
    const um = Number(given[0].replace(",", "."));
    if (!(um > 0) || !(px > 0)) this.say(`"${given[0]}": a length in \u00b5m was expected, such as 100`, false);
    else if (!given[1]) this.say(`${(um / px).toPrecision(4)} \u00b5m/px, not kept: no objective was named`, false, true);
    else this.keep({ objective: given[1], length_px: px, length_um: um });
  }
}
