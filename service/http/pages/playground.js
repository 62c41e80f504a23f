// The playground: pick tasks, type an input, see the answers and what they cost.
import { answerView } from "./answers.js";
import { byId, duration, el } from "./dom.js";
import { call, hasKey, offerKey } from "./key.js";

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** Every form of input: the fields it is typed into, and what makes it one. `several` is one entry a line. */
const FORMS = [
  { name: "Text", key: ["text"], fields: [{ name: "text", rows: 4 }],
    example: { text: "My parcel was due on Monday and nobody can tell me where it is!" } },
  { name: "Two texts", key: ["text", "text_pair"], fields: [{ name: "text", rows: 2 }, { name: "text_pair", rows: 2 }],
    example: { text: "How do I reset my password?", text_pair: "I cannot log in any more" } },
  { name: "Ranking", key: ["documents", "query"], fields: [{ name: "query", rows: 1 }, { name: "documents", rows: 5, several: true }],
    example: { query: "How long do I have to send something back?", documents: "Returns: how to send something back, and within which time.\nPaying by invoice, card or instalments.\nWhere my parcel is, and what to do when it is late." } },
  { name: "Question", key: ["context", "question"], fields: [{ name: "question", rows: 1 }, { name: "context", rows: 6 }],
    example: { question: "Within how many days can I return it?", context: "Second-hand pieces are returns that we have tested and cleaned. They work as they should and have one year of warranty. Second-hand pieces can be returned within 14 days rather than 30." } },
  { name: "Choices", key: ["choices", "context"], fields: [{ name: "context", rows: 3 }, { name: "choices", rows: 4, several: true }],
    example: { context: "Half of the jigsaw pieces are printed blank.", choices: "Replace the broken piece\nDescribe our payment conditions\nGive the delivery date" } },
  { name: "Tokens", key: ["tokens"], fields: [{ name: "tokens", rows: 3, several: true, words: true }],
    example: { tokens: "Order 48812 of the green lamp" } },
];

const STAGES = ["tokenise", "queue", "encode", "head"];
let tasks = [];
let form = FORMS[0];

const fits = (task, candidate) => task.inputs.some((fields) => [...fields].sort().join() === [...candidate.key].sort().join());
const tasksOf = (candidate) => tasks.filter((task) => fits(task, candidate));

function showForms() {
  byId("forms").replaceChildren(...FORMS.filter((each) => tasksOf(each).length).map((each) => {
    const radio = el("input", { type: "radio", name: "form", value: each.name, checked: each === form });
    radio.addEventListener("change", () => pick(each));
    return el("label", {}, radio, each.name);
  }));
}

function pick(chosen) {
  form = chosen;
  byId("fields").replaceChildren(...form.fields.flatMap((field) => {
    const id = `field-${field.name}`;
    const hint = field.words ? " (words apart)" : field.several ? " (one a line)" : "";
    const area = el("textarea", { id, rows: field.rows, name: field.name, spellcheck: "false" });
    area.value = form.example[field.name];
    area.addEventListener("input", showCurl);
    return [el("label", { for: id }, field.name.replaceAll("_", " ") + hint), area];
  }));
  byId("tasks").replaceChildren(...tasksOf(form).map((task) => {
    const box = el("input", { type: "checkbox", name: "task", value: task.name, checked: true });
    box.addEventListener("change", showCurl);
    return el("label", { title: `${task.kind.replaceAll("_", " ")}, ${task.head}` }, box, task.name);
  }));
  showCurl();
}

function currentInput() {
  return Object.fromEntries(form.fields.map((field) => {
    const text = byId(`field-${field.name}`).value;
    return [field.name, field.words ? text.split(/\s+/).filter(Boolean) : field.several ? lines(text) : text];
  }));
}

function currentBody() {
  const asked = [...document.querySelectorAll("[name=task]:checked")].map((box) => box.value);
  return { inputs: [currentInput()], tasks: asked };
}

function showCurl() {
  const body = JSON.stringify(currentBody()).replaceAll("'", "'\\''");
  // The key itself stays out of what is copied: a shell reads it from its environment.
  const key = hasKey() ? ' -H "authorization: Bearer $ENCODEONCE_API_KEY"' : "";
  byId("curl").textContent = `curl -s ${location.origin}/v1/predict${key} -H 'content-type: application/json' -d '${body}'`;
}

/** Stage → seconds, of a Server-Timing header. */
function timesOf(header) {
  return Object.fromEntries([...header.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, stage, milliseconds]) => [stage, milliseconds / 1e3]));
}

function costView(usage, times, version, roundTrip) {
  const sequences = usage.encoder_rows + usage.cache_hits + usage.coalesced;
  const tag = usage.encoder_rows === 0 ? el("span", { class: "tag hit" }, "all from the cache")
    : el("span", { class: "tag miss" }, `${usage.encoder_rows} of ${sequences} encoded`);
  const known = STAGES.reduce((sum, stage) => sum + times[stage], 0);
  const parts = [...STAGES.map((stage) => [stage, times[stage]]), ["rest", Math.max(0, times.total - known)]];
  const share = (seconds) => `${(100 * seconds) / Math.max(times.total, known)}%`;
  return [
    el("div", { class: "cost" }, tag, el("span", {}, el("b", {}, String(usage.tokens)), " tokens"),
      el("span", {}, el("b", {}, duration(times.total)), " in the service"), el("span", { class: "quiet" }, `${duration(roundTrip)} from here · version ${version}`)),
    el("div", { class: "stages", role: "img", "aria-label": parts.map(([stage, seconds]) => `${stage} ${duration(seconds)}`).join(", ") },
      ...parts.map(([stage, seconds]) => el("div", { style: { width: share(seconds), background: `var(--${stage})` } }))),
    el("div", { class: "cost quiet", "aria-hidden": "true" }, ...parts.map(([stage, seconds]) =>
      el("span", {}, el("span", { class: "dot", style: { background: `var(--${stage})` } }), `${stage} ${duration(seconds)}`))),
  ];
}

function problemView(problem) {
  const faults = (problem.errors ?? []).map((each) => el("li", {}, `${each.field}: ${each.message}`));
  return el("div", { class: "fault", role: "alert" }, el("strong", {}, problem.title), ` ${problem.detail ?? ""}`, faults.length ? el("ul", {}, ...faults) : null);
}

async function ask() {
  const body = currentBody();
  if (!body.tasks.length) return show([problemView({ title: "No task is picked.", detail: "Pick at least one." })]);
  byId("submit").disabled = true;
  try {
    const response = await call("/v1/predict", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    showCurl();
    const answer = await response.json();
    if (!response.ok) return show([problemView(answer)]);
    const [predictions] = answer.predictions;
    byId("cost").replaceChildren(...costView(answer.usage, timesOf(response.headers.get("server-timing") ?? ""), answer.version, response.seconds));
    byId("answers").replaceChildren(...tasks.filter((task) => task.name in predictions).map((task) => answerView(predictions[task.name], task, body.inputs[0])));
  } catch (error) {
    show([problemView({ title: "The service did not answer.", detail: String(error) })]);
  } finally {
    byId("submit").disabled = false;
  }
}

function show(views) {
  byId("cost").replaceChildren();
  byId("answers").replaceChildren(...views);
}

async function start() {
  const response = await call("/v1/tasks");
  const told = await response.json();
  if (!response.ok) {
    byId("served").textContent = response.status === 401 ? "an API key is needed" : "not ready";
    return show([problemView(told)]);
  }
  tasks = told.tasks;
  byId("served").textContent = `${told.model} ${told.version} · ${tasks.length} tasks on one encoder`;
  form = FORMS.find((each) => tasksOf(each).length) ?? FORMS[0];
  showForms();
  pick(form);
}

byId("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
byId("ask").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); } });
byId("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(byId("curl").textContent);
  byId("copy").textContent = "Copied";
  setTimeout(() => { byId("copy").textContent = "Copy"; }, 1500);
});
offerKey(() => (tasks.length ? showCurl() : start()));
start();
