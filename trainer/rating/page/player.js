// One clip, looped at its own speed: slow motion, single frames, zoom, contrast. Knows pixels, no votes.

const SPEEDS = [[1, "True speed"], [0.5, "Half speed"], [0.25, "Quarter speed"]];
const CONTRASTS = [1, 1.5, 2.2, 3.2];
const MOST_ZOOM = 6;

export class Player {
  #canvas;
  #clip = null; // {bitmap, frames, fps}
  #frame = 0;
  #shown = -1;
  #since = 0; // when the first frame of this round was due, in ms
  #speed = 0;
  #contrast = 0;
  #zoom = 1;
  #pan = [0, 0]; // of the clip's centre, in its own px
  #touches = new Map();
  playing = true;

  // changed(): speed, contrast, play or frame is another one
  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.changed = changed;
    new ResizeObserver(() => this.#fit()).observe(canvas);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      this.#touches.set(event.pointerId, [event.clientX, event.clientY]);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#touches.delete(event.pointerId));
    canvas.addEventListener("dblclick", () => this.zoomBy(0));
    const tick = (now) => {
      this.#tick(now);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  get speedWord() {
    return SPEEDS[this.#speed][1];
  }

  get contrastWord() {
    return `Contrast ${CONTRASTS[this.#contrast]}`;
  }

  get frameWord() {
    return this.#clip && !this.playing ? `frame ${this.#frame + 1} of ${this.#clip.frames}` : "";
  }

  // Show a clip from its first frame, or nothing (null). Speed, zoom and contrast stay as the rater set them.
  show(clip) {
    this.#clip = clip;
    this.#frame = 0;
    this.#shown = -1;
    this.#since = performance.now();
    this.#pan = [0, 0];
    this.playing = true;
    if (!clip) this.#canvas.getContext("2d").clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.changed();
  }

  toggle() {
    this.playing = !this.playing;
    this.#resume();
  }

  step(by) {
    if (!this.#clip) return;
    this.playing = false;
    this.#frame = (this.#frame + by + this.#clip.frames) % this.#clip.frames;
    this.changed();
  }

  changeSpeed() {
    this.#speed = (this.#speed + 1) % SPEEDS.length;
    this.#resume();
  }

  changeContrast() {
    this.#contrast = (this.#contrast + 1) % CONTRASTS.length;
    this.#canvas.style.filter = this.#contrast ? `contrast(${CONTRASTS[this.#contrast]})` : "";
    this.changed();
  }

  zoomBy(factor) {
    this.#zoom = factor ? Math.max(1, Math.min(MOST_ZOOM, this.#zoom * factor)) : 1;
    if (this.#zoom === 1) this.#pan = [0, 0];
    this.#shown = -1;
  }

  #resume() {
    if (this.#clip) this.#since = performance.now() - (this.#frame * 1000) / (this.#clip.fps * SPEEDS[this.#speed][0]);
    this.changed();
  }

  #fit() {
    const box = this.#canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    this.#canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.#canvas.height = Math.max(1, Math.round(box.height * ratio));
    this.#shown = -1;
  }

  // One finger or the mouse moves the picture, two fingers make it larger.
  #move(event) {
    const before = this.#touches.get(event.pointerId);
    if (!before || !this.#clip) return;
    const now = [event.clientX, event.clientY];
    const other = [...this.#touches].find(([id]) => id !== event.pointerId)?.[1];
    if (other) this.zoomBy(Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1])));
    else if (this.#zoom > 1) {
      const scale = this.#scale() / (devicePixelRatio || 1);
      const half = [this.#clip.bitmap.width / 2, this.#clip.bitmap.height / this.#clip.frames / 2];
      this.#pan = this.#pan.map((at, k) => Math.max(-half[k], Math.min(half[k], at - (now[k] - before[k]) / scale)));
    }
    this.#touches.set(event.pointerId, now);
    this.#shown = -1;
  }

  #scale() {
    const height = this.#clip.bitmap.height / this.#clip.frames;
    return Math.min(this.#canvas.width / this.#clip.bitmap.width, this.#canvas.height / height) * this.#zoom;
  }

  #tick(now) {
    if (!this.#clip) return;
    if (this.playing) this.#frame = Math.floor(((now - this.#since) / 1000) * this.#clip.fps * SPEEDS[this.#speed][0]) % this.#clip.frames;
    if (this.#frame < 0) this.#frame = 0;
    if (this.#frame === this.#shown) return;
    this.#shown = this.#frame;
    const { bitmap, frames } = this.#clip, height = bitmap.height / frames, scale = this.#scale();
    const context = this.#canvas.getContext("2d");
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const left = this.#canvas.width / 2 - (bitmap.width / 2 + this.#pan[0]) * scale;
    const top = this.#canvas.height / 2 - (height / 2 + this.#pan[1]) * scale;
    context.drawImage(bitmap, 0, this.#frame * height, bitmap.width, height, left, top, bitmap.width * scale, height * scale);
    this.#canvas.dataset.frame = this.#frame;
  }
}
