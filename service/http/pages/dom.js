// Elements from data. Text is always set as text, so nothing that a user or a model says is read as HTML.

/** An element with attributes and children: strings become text. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "style") for (const [property, given] of Object.entries(value)) element.style.setProperty(property, given);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** Like `el`, of SVG. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

/** "0.917" of a probability. */
export const probability = (value) => value.toFixed(3);

/** "1.8 ms", "2.4 s". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 1) return `${(1e3 * seconds).toPrecision(seconds < 0.1 ? 2 : 3)} ms`;
  return `${seconds.toPrecision(3)} s`;
}
