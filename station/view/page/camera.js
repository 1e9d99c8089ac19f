// The camera panel: exposure, gain, how the picture is exposed, how many frames come, the scale.

import { byId, make, setText } from "./dom.js";

export class CameraPanel {
  constructor() {
    this.root = byId("camera");
    this.rate = make("p");
    this.canvas = make("canvas", { width: 256, height: 80 });
    this.saturation = make("p");
    this.exposure = make("p");
    this.scale = make("p");
    this.root.append(make("h2", {}, "Camera"), this.rate, this.exposure,
      make("h2", {}, "Grey levels"), this.canvas, this.saturation, make("h2", {}, "Scale"), this.scale);
  }

  toggle() {
    this.root.hidden = !this.root.hidden;
  }

  show(overview) {
    if (this.root.hidden) return;
    setText(this.rate, overview.fps === null ? "frame rate not known yet" : `${overview.fps.toFixed(1)} frames/s measured`);
    const known = [overview.exposure && `exposure ${overview.exposure}`, overview.gain && `gain ${overview.gain}`].filter(Boolean);
    setText(this.exposure, known.join(", ") || "This source has no exposure or gain.");
    setText(this.scale, overview.um_per_px ? `${overview.um_per_px.toPrecision(4)} \u00b5m/px` : "not set");
    if (overview.histogram) this.#histogram(overview.histogram);
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
