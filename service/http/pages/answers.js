// How each kind of answer looks. An answer's form tells its kind apart; `GET /v1/tasks` tells labels and ranges.
import { breakable, el, probability } from "./dom.js";

const MOST_BARS = 12;

/** A bar of a probability, with an optional mark such as a threshold. */
function score(name, value, { best = false, mark = null } = {}) {
  const track = el("div", { class: "track" }, el("div", { class: "fill", style: { width: `${100 * value}%` } }));
  if (mark !== null) track.append(el("div", { class: "mark", title: `threshold ${probability(mark)}`, style: { left: `${100 * mark}%` } }));
  return el("div", { class: best ? "score best" : "score" }, el("span", { class: "name" }, ...breakable(name)), track,
    el("span", { class: "number" }, probability(value)));
}

function bars(entries, isBest, marks = {}) {
  const sorted = entries.map(([name, value], index) => ({ name, value, index })).sort((a, b) => b.value - a.value);
  const shown = sorted.slice(0, MOST_BARS).map((each) => score(each.name, each.value, { best: isBest(each), mark: marks[each.name] ?? null }));
  if (sorted.length > MOST_BARS) shown.push(el("p", { class: "quiet" }, `and ${sorted.length - MOST_BARS} less probable ones`));
  return shown;
}

/** Offsets count code points; JavaScript's strings count UTF-16 units. */
function reading(text, spans) {
  const points = Array.from(text);
  const paragraph = el("p", { class: "reading" });
  let place = 0;
  for (const span of spans) {
    paragraph.append(points.slice(place, span.start).join(""));
    const hue = hueOf(span.label);
    paragraph.append(el("mark", {
      title: span.score == null ? span.label : `${span.label} ${probability(span.score)}`,
      style: { "--span": `hsl(${hue} 80% 50% / .16)`, "--edge": `hsl(${hue} 70% 50% / .7)` },
    }, points.slice(span.start, span.end).join(""), el("small", {}, span.label)));
    place = span.end;
  }
  paragraph.append(points.slice(place).join(""));
  return paragraph;
}

function hueOf(label) {
  let hash = 7;
  for (const point of label) hash = (hash * 31 + point.codePointAt(0)) % 360;
  return (hash * 47) % 360;
}

function value(answer, task) {
  const told = el("p", { class: "told" }, answer.value.toFixed(3));
  if (!task.range) return [told];
  const [low, high] = task.range;
  const place = Math.min(1, Math.max(0, (answer.value - low) / (high - low)));
  const track = el("div", { class: "track" }, el("div", { class: "fill", style: { width: `${100 * place}%` } }));
  return [told, el("div", { class: "score best" }, el("span", { class: "name quiet" }, `from ${low} to ${high}`), track, el("span"))];
}

/** What an input says, as the offsets of its answers count it. */
const textOf = (input) => input.context ?? input.text ?? input.tokens?.join(" ") ?? "";

function body(answer, task, input) {
  if ("label" in answer) return [el("p", { class: "told" }, answer.label), ...bars(Object.entries(answer.scores), (each) => each.name === answer.label)];
  if ("labels" in answer) {
    return [el("p", { class: "told" }, answer.labels.join(", ") || "none of them"),
      ...bars(Object.entries(answer.scores), (each) => answer.labels.includes(each.name), task.thresholds ?? {})];
  }
  if ("value" in answer) return value(answer, task);
  if ("ranking" in answer) return answer.ranking.map((each, place) => score(input.documents[each.index], each.score, { best: place === 0 }));
  if ("entities" in answer) {
    return answer.entities.length ? [reading(textOf(input), answer.entities)] : [el("p", { class: "told" }, "no entities")];
  }
  if ("tokens" in answer) return [reading(textOf(input), answer.tokens.filter((each) => each.label != null))];
  if ("choice" in answer) {
    return [el("p", { class: "told" }, answer.choice), ...bars(input.choices.map((choice, index) => [choice, answer.scores[index]]), (each) => each.index === answer.index)];
  }
  if ("answer" in answer) {
    if (answer.start == null) return [el("p", { class: "told" }, "no answer in this text"), score("no answer", answer.score, { best: true })];
    return [el("p", { class: "told" }, answer.answer), reading(textOf(input), [{ ...answer, label: "answer" }]), score("answer", answer.score, { best: true })];
  }
  return [el("pre", {}, JSON.stringify(answer, null, 2))];
}

/** One task's answer. */
export function answerView(answer, task, input) {
  const head = el("header", {}, el("h3", {}, task.name), el("span", { class: "quiet" }, task.kind.replaceAll("_", " ")));
  if (answer.truncated) head.append(el("span", { class: "tag" }, "text was cut"));
  return el("article", { class: "answer", "data-task": task.name }, head, ...body(answer, task, input));
}
