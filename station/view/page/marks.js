// The states as shapes: circle, dashed circle, diamond, crossed square. The same on the field and on the cards.

export const COLOURS = { locked: "#35e0b0", acquiring: "#ffd166", uncertain: "#ff9df0", lost: "#ff7a6b", unknown: "#c8d0d8" };

// Add the outline of a state's shape round (x, y) to the current path.
export function outline(context, state, x, y, radius) {
  context.beginPath();
  if (state === "uncertain") {
    const r = radius * 1.2;
    context.moveTo(x, y - r);
    context.lineTo(x + r, y);
    context.lineTo(x, y + r);
    context.lineTo(x - r, y);
    context.closePath();
  } else if (state === "lost") {
    const r = radius * 0.9;
    context.rect(x - r, y - r, 2 * r, 2 * r);
    context.moveTo(x - r, y - r);
    context.lineTo(x + r, y + r);
    context.moveTo(x + r, y - r);
    context.lineTo(x - r, y + r);
  } else {
    context.arc(x, y, radius, 0, 2 * Math.PI);
  }
}

export function dashes(state, unit) {
  return state === "acquiring" || state === "unknown" ? [3 * unit, 3 * unit] : [];
}

// Draw a small sign of the state into a canvas of a card, in the colour of the text beside it.
export function sign(canvas, state, colour) {
  const size = Math.round(canvas.clientWidth * devicePixelRatio) || 18;
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  context.lineWidth = size / 8;
  context.strokeStyle = colour;
  context.setLineDash(dashes(state, size / 20));
  outline(context, state, size / 2, size / 2, size * 0.36);
  context.stroke();
}
