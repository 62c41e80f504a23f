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
  const milliseconds = 1e3 * seconds;
  if (milliseconds < 99.5) return `${milliseconds.toPrecision(2)} ms`;  // what rounds to 100 would be 1.0e+2
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  return `${seconds < 99.95 ? seconds.toPrecision(3) : Math.round(seconds)} s`;
}

/** A name's text, which may break behind its underscores. */
export const breakable = (name) => name.split(/(?<=_)/).flatMap((part, place) => (place ? [el("wbr"), part] : [part]));
