// What is drawn over a picture: rings with number and word, trails of the last two seconds, the scale bar.

import { COLOURS, dashes, outline } from "./marks.js";

const TRAIL_MS = 2000;
const BAR_UM = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

export class Trails {
  #points = new Map(); // sperm: [{t, x, y}], oldest first
  #last = -1;

  // Take in the positions of a picture; a moving stage makes old positions meaningless.
  add(head) {
    if (head.disturbance || head.t_source_ms < this.#last) this.#points.clear();
    this.#last = head.t_source_ms;
    const here = new Set();
    for (const card of head.cards) {
      here.add(card.sperm_id);
      if (card.state === "lost") {
        this.#points.delete(card.sperm_id);
        continue;
      }
      const points = this.#points.get(card.sperm_id) ?? [];
      points.push({ t: head.t_source_ms, x: card.x, y: card.y });
      while (points[0].t < head.t_source_ms - TRAIL_MS) points.shift();
      this.#points.set(card.sperm_id, points);
    }
    for (const id of this.#points.keys()) if (!here.has(id)) this.#points.delete(id);
  }

  of(id) {
    return this.#points.get(id) ?? [];
  }
}

// Draw the rings of a picture. place(x, y) gives canvas px of a position in the frame; unit is one CSS px.
export function drawRings(context, head, trails, focus, place, zoom, unit) {
  const radius = Math.max(13 * unit, 26 * zoom);
  for (const card of head.cards) {
    const colour = COLOURS[card.state];
    const points = trails.of(card.sperm_id);
    if (points.length > 1) {
      context.beginPath();
      points.forEach((point, k) => {
        const [x, y] = place(point.x, point.y);
        if (k) context.lineTo(x, y);
        else context.moveTo(x, y);
      });
      context.setLineDash([]);
      context.globalAlpha = 0.55;
      context.lineWidth = 1.5 * unit;
      context.strokeStyle = colour;
      context.stroke();
      context.globalAlpha = 1;
    }
  }
  for (const card of head.cards) {
    const [x, y] = place(card.x, card.y);
    const focused = card.sperm_id === focus;
    outline(context, card.state, x, y, radius);
    context.setLineDash([]);
    context.lineWidth = (focused ? 7 : 4.5) * unit;
    context.strokeStyle = "#000a";
    context.stroke();
    context.setLineDash(dashes(card.state, 1.6 * unit));
    context.lineWidth = (focused ? 3.5 : 2) * unit;
    context.strokeStyle = COLOURS[card.state];
    context.stroke();
    context.setLineDash([]);
    if (focused) {
      const half = (head.window_px / 2) * zoom;
      context.lineWidth = unit;
      context.globalAlpha = 0.7;
      context.strokeRect(x - half, y - half, 2 * half, 2 * half);
      context.globalAlpha = 1;
    }
    label(context, card, x + radius, y - radius, unit);
  }
}

function label(context, card, x, y, unit) {
  const number = card.marked ? `${card.sperm_id} \u2713` : String(card.sperm_id);
  context.textBaseline = "middle";
  context.font = `800 ${17 * unit}px system-ui, sans-serif`;
  const wide = context.measureText(number).width;
  context.font = `600 ${11.5 * unit}px system-ui, sans-serif`;
  const word = context.measureText(card.state).width;
  const height = 20 * unit;
  const width = wide + word + 14 * unit;
  const left = Math.min(Math.max(0, x), context.canvas.width - width);
  const top = Math.min(Math.max(0, y - height), context.canvas.height - height);
  context.fillStyle = "#000b";
  context.beginPath();
  context.roundRect(left, top, width, height, 4 * unit);
  context.fill();
  context.fillStyle = COLOURS[card.state];
  context.fillText(card.state, left + wide + 9 * unit, top + height / 2 + unit);
  context.fillStyle = "#fff";
  context.font = `800 ${17 * unit}px system-ui, sans-serif`;
  context.fillText(number, left + 5 * unit, top + height / 2 + unit);
}

// Draw where heads are that nobody follows; fainter the older that is, for they swim on.
export function drawCandidates(context, head, place, zoom, unit) {
  const reach = Math.max(8 * unit, 14 * zoom);
  context.lineWidth = 1.5 * unit;
  context.strokeStyle = "#fff";
  for (const [left, top] of head.candidates) {
    const [x, y] = place(left, top);
    context.globalAlpha = Math.max(0.15, 1 - head.candidates_age_ms / 1000);
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + dx * reach, y + dy * reach);
      context.lineTo(x + dx * reach * 0.45, y + dy * reach * 0.45);
    }
    context.stroke();
  }
  context.globalAlpha = 1;
}

// Draw the scale bar in the lower left corner; without a known scale it says so.
export function drawScale(context, umPerPx, zoom, unit) {
  const bottom = context.canvas.height - 16 * unit;
  const left = 16 * unit;
  context.font = `600 ${14 * unit}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  let text = "scale not set";
  let width = 0;
  if (umPerPx) {
    const most = 150 * unit;
    const um = BAR_UM.findLast((length) => (length / umPerPx) * zoom <= most) ?? BAR_UM[0];
    width = (um / umPerPx) * zoom;
    text = `${um} \u00b5m`;
  }
  context.fillStyle = "#000a";
  const wide = Math.max(width, context.measureText(text).width);
  context.fillRect(left - 8 * unit, bottom - 28 * unit, wide + 16 * unit, 36 * unit);
  context.fillStyle = "#fff";
  if (width) context.fillRect(left, bottom - 4 * unit, width, 4 * unit);
  context.fillText(text, left, bottom - 6 * unit);
}
