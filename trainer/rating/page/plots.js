// The lead's plots, as SVG made element by element: bars, dots and a grid of squares. Knows numbers, no raters.

const NS = "http://www.w3.org/2000/svg";

function shape(name, attributes, text = null) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  return element;
}

const titled = (element, title) => {
  element.append(shape("title", {}, title));
  return element;
};

// values: [{label, value, title}]; labels stand below.
export function bars(svg, values, unit = "") {
  const width = 420, height = 150, base = height - 18, most = Math.max(...values.map((one) => one.value), 1e-9), step = width / Math.max(1, values.length);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const every = Math.ceil(values.length / 14);
  svg.replaceChildren(shape("line", { x1: 0, y1: base, x2: width, y2: base, class: "axis" }), ...values.flatMap(({ label, value, title }, k) => {
    const tall = (value / most) * (base - 16), x = k * step;
    const bar = titled(shape("rect", { x: x + step * 0.1, y: base - tall, width: step * 0.8, height: tall, class: "bar" }), title ?? `${label}: ${value}`);
    const told = values.length <= 14 ? [shape("text", { x: x + step / 2, y: base - tall - 3, "text-anchor": "middle" }, `${value}${unit}`)] : [];
    return [bar, ...told, ...(k % every ? [] : [shape("text", { x: x + step / 2, y: height - 4, "text-anchor": "middle" }, label)])];
  }));
}

// points: [{x, y, label}], around the middle (0, 1).
export function dots(svg, points) {
  const width = 420, height = 260, reach = Math.max(0.5, ...points.map((one) => Math.abs(one.x))) * 1.2, tall = Math.max(0.5, ...points.map((one) => Math.abs(one.y - 1))) * 1.2;
  const at = ({ x, y }) => [width / 2 + (x / reach) * (width / 2 - 30), height / 2 - ((y - 1) / tall) * (height / 2 - 16)];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(
    shape("line", { x1: 0, y1: height / 2, x2: width, y2: height / 2, class: "axis" }), shape("line", { x1: width / 2, y1: 0, x2: width / 2, y2: height, class: "axis" }),
    shape("text", { x: 2, y: height / 2 - 4 }, `${(-reach).toFixed(1)} lenient`), shape("text", { x: width - 2, y: height / 2 - 4, "text-anchor": "end" }, `strict +${reach.toFixed(1)}`),
    ...points.flatMap((one) => {
      const [x, y] = at(one);
      return [titled(shape("circle", { cx: x, cy: y, r: 4, class: "dot" }), `${one.label}: ${one.x.toFixed(2)} steps, spread ${one.y.toFixed(2)}`), shape("text", { x: x + 6, y: y + 4 }, one.label)];
    }));
}

// names: in order; value(i, j): from 0 to 1, or null.
export function squares(svg, names, value, title) {
  const left = 78, size = Math.max(6, Math.min(26, 340 / Math.max(1, names.length))), side = left + size * names.length + 4;
  svg.setAttribute("viewBox", `0 0 ${Math.max(200, side)} ${size * names.length + 8}`);
  svg.replaceChildren(...names.flatMap((name, i) => [
    ...(size > 9 ? [shape("text", { x: left - 4, y: i * size + size * 0.7, "text-anchor": "end" }, name)] : []),
    ...names.slice(0, i).flatMap((_, j) => {
      const found = value(i, j);
      if (found === null) return [];
      const square = shape("rect", { x: left + j * size, y: i * size, width: size - 1, height: size - 1, fill: `hsl(205 70% ${15 + 55 * Math.max(0, found)}%)` });
      return [titled(square, title(i, j))];
    }),
  ]));
}
