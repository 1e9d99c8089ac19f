// The field: the newest picture with its own rings, drawn in one go so that a ring never lags its cell. Zoom, pan, clicks.

import { Trails, drawCandidates, drawRings, drawScale } from "./overlay.js";

const CLICK_PX = 4;
const MOST_ZOOM = 12;
const RING_PX = 34;
const OLD_MS = 1000;

export class Field {
  paused = false;
  umPerPx = null;
  focus = null;
  ruler = null; // two points of a calibration that is going on
  #shot = null;
  #trails = new Trails();
  #zoom = 1; // over "the whole frame fits"
  #centre = null; // in px of the frame; null: the middle
  #scheduled = false;
  #pointer = null;
  #sides = [0, 0]; // of the canvas, in px of the screen
  #ground = "#000";
  #unit = 1; // large screens, large letters

  // handlers: select(x, y), focus(id), release(id), drawn(frameSeq), scale(scale)
  constructor(canvas, handlers) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.handlers = handlers;
    new ResizeObserver(() => this.restyle()).observe(canvas);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.restyle());
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => (this.#pointer = null));
    canvas.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      const hit = this.#hit(event.offsetX, event.offsetY);
      if (hit) this.handlers.release(hit.sperm_id);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    }, { passive: false });
  }

  get head() {
    return this.#shot?.head ?? null;
  }

  // A replay that is paused shows a moment that does not grow old.
  get ageMs() {
    if (this.paused) return this.#shot ? this.#shot.head.age_ms : null;
    return this.#shot ? this.#shot.head.age_ms + performance.now() - this.#shot.at : null;
  }

  // Take a picture in; it is drawn with the next frame of the screen.
  show(shot) {
    if (this.#shot && shot.head.frame_seq < this.#shot.head.frame_seq - 1000) this.#trails = new Trails();
    this.#shot?.bitmap.close();
    this.#shot = shot;
    this.#trails.add(shot.head);
    this.redraw();
  }

  // Ask the page for sizes and colours here and not while drawing, where each answer would lay out all cards first.
  restyle() {
    const ratio = devicePixelRatio;
    this.#sides = [Math.round(this.canvas.clientWidth * ratio), Math.round(this.canvas.clientHeight * ratio)];
    this.#ground = getComputedStyle(this.canvas.parentElement).backgroundColor;
    this.#unit = (ratio * parseFloat(getComputedStyle(document.documentElement).fontSize)) / 16;
    this.redraw();
  }

  redraw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  fit() {
    this.#zoom = 1;
    this.#centre = null;
    this.redraw();
  }

  zoomBy(factor, cssX = this.canvas.clientWidth / 2, cssY = this.canvas.clientHeight / 2) {
    if (!this.#shot) return;
    const [x, y] = this.toFrame(cssX, cssY);
    this.#zoom = Math.min(MOST_ZOOM, Math.max(1, this.#zoom * factor));
    const { zoom } = this.#geometry();
    const ratio = devicePixelRatio;
    this.#centre = [
      x + 0.5 - (cssX * ratio - this.canvas.width / 2) / zoom,
      y + 0.5 - (cssY * ratio - this.canvas.height / 2) / zoom,
    ];
    if (this.#zoom === 1) this.#centre = null;
    this.redraw();
  }

  // Position in px of the frame (pixel centres at whole numbers) under a place on the canvas in CSS px.
  toFrame(cssX, cssY) {
    const { zoom, left, top } = this.#geometry();
    return [(cssX * devicePixelRatio - left) / zoom - 0.5, (cssY * devicePixelRatio - top) / zoom - 0.5];
  }

  // The other way, for tests and for the ruler: CSS px on the canvas of a position in the frame.
  toScreen(x, y) {
    const { zoom, left, top } = this.#geometry();
    return [((x + 0.5) * zoom + left) / devicePixelRatio, ((y + 0.5) * zoom + top) / devicePixelRatio];
  }

  #geometry() {
    const { width, height } = this.#shot.head;
    const fit = Math.min(this.canvas.width / width, this.canvas.height / height);
    const zoom = fit * this.#zoom;
    const [x, y] = this.#clamped(zoom, width, height);
    return { zoom, left: this.canvas.width / 2 - x * zoom, top: this.canvas.height / 2 - y * zoom };
  }

  #clamped(zoom, width, height) {
    const [x, y] = this.#centre ?? [width / 2, height / 2];
    const halfX = Math.min(width / 2, this.canvas.width / zoom / 2);
    const halfY = Math.min(height / 2, this.canvas.height / zoom / 2);
    return [Math.min(width - halfX, Math.max(halfX, x)), Math.min(height - halfY, Math.max(halfY, y))];
  }

  #draw() {
    const { canvas, context } = this;
    const [width, height] = this.#sides;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    context.fillStyle = this.#ground;
    context.fillRect(0, 0, width, height);
    if (!this.#shot || !width || !height) return;
    const { head, bitmap } = this.#shot;
    const { zoom, left, top } = this.#geometry();
    const old = this.ageMs > OLD_MS;
    context.imageSmoothingEnabled = zoom < 3;
    context.globalAlpha = old ? 0.45 : 1;
    context.drawImage(bitmap, left, top, head.width * zoom, head.height * zoom);
    context.globalAlpha = 1;
    const place = (x, y) => [(x + 0.5) * zoom + left, (y + 0.5) * zoom + top];
    const unit = this.#unit;
    drawCandidates(context, head, place, zoom, unit);
    drawRings(context, head, this.#trails, this.focus, place, zoom, unit);
    drawScale(context, this.umPerPx, zoom, unit);
    if (this.ruler) this.#drawRuler(place, unit);
    Object.assign(canvas.dataset, { // what is on the canvas now, for tests and benches
      tExposureMs: head.t_exposure_ms, frameWidth: head.width, frameHeight: head.height, frameSeq: head.frame_seq,
    });
    this.handlers.scale(Math.min(1, zoom));
    this.handlers.drawn(head.frame_seq);
  }

  #drawRuler(place, unit) {
    const { context } = this;
    const points = this.ruler.map(([x, y]) => place(x, y));
    context.lineWidth = 2 * unit;
    context.strokeStyle = "#fff";
    context.fillStyle = "#fff";
    for (const [x, y] of points) {
      context.beginPath();
      context.moveTo(x - 8 * unit, y);
      context.lineTo(x + 8 * unit, y);
      context.moveTo(x, y - 8 * unit);
      context.lineTo(x, y + 8 * unit);
      context.stroke();
    }
    if (points.length === 2) {
      context.beginPath();
      context.moveTo(...points[0]);
      context.lineTo(...points[1]);
      context.stroke();
    }
  }

  #hit(cssX, cssY) {
    if (!this.#shot) return null;
    const { zoom } = this.#geometry();
    const reach = Math.max(18, (RING_PX * zoom) / devicePixelRatio);
    let best = null;
    let nearest = reach;
    for (const card of this.#shot.head.cards) {
      const [x, y] = this.toScreen(card.x, card.y);
      const distance = Math.hypot(x - cssX, y - cssY);
      if (distance <= nearest) [best, nearest] = [card, distance];
    }
    return best;
  }

  #down(event) {
    if (event.button !== 0 || !this.#shot) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.#pointer = { x: event.offsetX, y: event.offsetY, at: [event.offsetX, event.offsetY], moved: false };
  }

  #move(event) {
    const pointer = this.#pointer;
    if (!pointer) return;
    if (Math.hypot(event.offsetX - pointer.x, event.offsetY - pointer.y) > CLICK_PX) pointer.moved = true;
    if (pointer.moved) {
      const { zoom } = this.#geometry();
      const { width, height } = this.#shot.head;
      const [x, y] = this.#clamped(zoom, width, height);
      const ratio = devicePixelRatio / zoom;
      this.#centre = [x - (event.offsetX - pointer.at[0]) * ratio, y - (event.offsetY - pointer.at[1]) * ratio];
      this.canvas.classList.add("panning");
      this.redraw();
    }
    pointer.at = [event.offsetX, event.offsetY];
  }

  #up(event) {
    const pointer = this.#pointer;
    this.#pointer = null;
    this.canvas.classList.remove("panning");
    if (!pointer || pointer.moved || event.button !== 0) return;
    const [x, y] = this.toFrame(event.offsetX, event.offsetY);
    const { width, height } = this.#shot.head;
    if (this.ruler) this.handlers.measure(x, y);
    else {
      const hit = this.#hit(event.offsetX, event.offsetY);
      if (hit && !event.shiftKey) this.handlers.focus(hit.sperm_id);
      else if (x >= -0.5 && y >= -0.5 && x < width - 0.5 && y < height - 0.5) this.handlers.select(x, y);
    }
  }
}
