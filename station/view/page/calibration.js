// Measures a length in the picture with two clicks; with the true length it tells the scale. Changes nothing by itself.

import { prompt } from "./keys.js";

export class Calibration {
  // field: where the clicks come from; say(text, well): where the outcome goes
  constructor(field, say) {
    this.field = field;
    this.say = say;
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
    const given = await prompt(`${px.toFixed(1)} px${known}`, [{ label: "True length in \u00b5m, to find the scale" }], "Compute");
    this.stop();
    if (!given?.[0]) return;
    const um = Number(given[0].replace(",", "."));
    if (!(um > 0) || !(px > 0)) this.say(`"${given[0]}": a length in \u00b5m was expected, such as 100`, false);
    else this.say(`${(um / px).toPrecision(4)} \u00b5m/px: write um_per_px = ${(um / px).toPrecision(4)} under [source] in the configuration`, true, true);
  }
}
