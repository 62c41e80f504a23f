// The status page: reads /metrics every few seconds and shows what changed since.
import { byId, duration, el, svg } from "./dom.js";
import { call, offerKey } from "./key.js";
import { parse, quantile, total, valuesOf } from "./prometheus.js";

const EVERY_MS = Number(new URLSearchParams(location.search).get("every")) || 2000;
const KEPT = 150; // readings: five minutes
const P = "encodeonce_";
const readings = []; // {at: seconds, metrics}
const points = []; // {at, rate, p50, p99, fill, hits}

const count = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });
const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(0)} %` : "–");
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;

/** Routes that answer tasks. Not the pages and what looks after the service: those ask all the time. */
const apiRoutes = (metrics) => valuesOf(metrics, `${P}requests_total`, "route").filter((route) => /^\/(v\d|tei)\//.test(route));

const requests = (metrics) => apiRoutes(metrics).reduce((sum, route) => sum + total(metrics, `${P}requests_total`, { route }), 0);

/** What happened between two readings. */
function between(now, before) {
  const seconds = now.at - before.at;
  const delta = (name, wanted) => total(now.metrics, P + name, wanted) - total(before.metrics, P + name, wanted);
  const tokens = delta("batch_tokens_sum"), padding = delta("padding_tokens_total");
  const lookups = delta("lookups_total");
  return {
    at: now.at,
    rate: (requests(now.metrics) - requests(before.metrics)) / seconds,
    tokens: tokens / seconds,
    p50: quantile(now.metrics, before.metrics, `${P}request_seconds`, 0.5, { route: "/v1/predict" }),
    p99: quantile(now.metrics, before.metrics, `${P}request_seconds`, 0.99, { route: "/v1/predict" }),
    fill: tokens / (tokens + padding),
    hits: delta("lookups_total", { outcome: "hit" }) / lookups,
    sequences: delta("batch_sequences_sum") / delta("batch_sequences_count"),
  };
}

function tile(name, value, note) {
  return el("dl", { class: "tile" }, el("dt", {}, name), el("dd", {}, value), el("small", {}, note));
}

function showTiles(metrics, recent) {
  const of = (name, labels) => total(metrics, P + name, labels);
  byId("tiles").replaceChildren(
    tile("Requests", `${count.format(recent.rate)} /s`, `${count.format(requests(metrics))} in all`),
    tile("Latency p50", duration(recent.p50), `p99 ${duration(recent.p99)} · /v1/predict`),
    tile("Tokens encoded", `${count.format(recent.tokens)} /s`, `${count.format(of("batch_tokens_sum"))} in all`),
    tile("Batch fill", percent(recent.fill), `${Number.isFinite(recent.sequences) ? recent.sequences.toFixed(1) : "–"} sequences a batch`),
    tile("Cache hits", percent(recent.hits), `${mebibytes(of("cache_bytes"))} of ${mebibytes(of("cache_max_bytes"))}`),
    tile("Queue", `${count.format(of("queue_tokens"))} tokens`, `${count.format(of("queue_sequences"))} sequences wait`),
  );
}

/** The next of 1, 2, 5, 10, 20 … from a value on, so that the axis has plain numbers. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => value <= step * power * (1 + 1e-9));
}

const WIDTH = 360, HEIGHT = 130, LEFT = 46, RIGHT = 10, TOP = 8, BOTTOM = 22;

/** A line chart over the kept readings. `series` are `{name, colour, of}`. */
function chart(title, unit, series, format) {
  const latest = points.length ? points[points.length - 1].at : 0;
  const span = KEPT * EVERY_MS / 1e3;
  const highest = roundUp(Math.max(1, ...points.flatMap((point) => series.map((each) => each.of(point))).filter(Number.isFinite)));
  const x = (at) => LEFT + (WIDTH - LEFT - RIGHT) * (1 - (latest - at) / span);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / highest);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}, ${unit}, over the last five minutes` });
  for (const share of [0, 0.5, 1]) {
    drawing.append(svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(share * highest), y2: y(share * highest) }),
      svg("text", { x: LEFT - 5, y: y(share * highest) + 4, "text-anchor": "end" }, format(share * highest)));
  }
  drawing.append(svg("text", { x: LEFT, y: HEIGHT - 6 }, "5 min ago"), svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, "now"));
  for (const each of series) {
    let path = "", isDrawing = false;
    for (const point of points) {
      const value = each.of(point);
      if (Number.isFinite(value)) path += `${isDrawing ? "L" : "M"}${x(point.at).toFixed(1)} ${y(value).toFixed(1)}`;
      isDrawing = Number.isFinite(value);
    }
    drawing.append(svg("path", { d: path, stroke: each.colour }));
  }
  const keys = series.length > 1 ? series.map((each) => el("span", { class: "key" }, el("span", { class: "dot", style: { background: each.colour } }), each.name)) : [];
  return el("figure", { class: "chart" }, el("figcaption", {}, `${title} (${unit})`, ...keys), drawing);
}

function showCharts() {
  const whole = (value) => count.format(value);
  byId("charts").replaceChildren(
    chart("Throughput", "requests / s", [{ name: "requests", colour: "var(--encode)", of: (point) => point.rate }], whole),
    chart("Latency of /v1/predict", "ms", [
      { name: "p50", colour: "var(--head)", of: (point) => 1e3 * point.p50 },
      { name: "p99", colour: "var(--queue)", of: (point) => 1e3 * point.p99 }], whole),
    chart("Cache hits and batch fill", "%", [
      { name: "hits", colour: "var(--head)", of: (point) => 100 * point.hits },
      { name: "fill", colour: "var(--tokenise)", of: (point) => 100 * point.fill }], whole),
  );
}

function rows(table, cells) {
  const body = byId(table).tBodies[0];
  body.replaceChildren(...cells.map(([first, ...rest]) => el("tr", {}, el("td", {}, first), ...rest.map((cell) => el("td", {}, cell)))));
}

function showTables(now, before) {
  const seconds = now.at - before.at;
  rows("routes", apiRoutes(now.metrics).map((route) => {
    const all = total(now.metrics, `${P}requests_total`, { route });
    const failed = (now.metrics.get(`${P}requests_total`) ?? []).filter((each) => each.labels.route === route && Number(each.labels.status) >= 400)
      .reduce((sum, each) => sum + each.value, 0);
    return [route, count.format(all), count.format((all - total(before.metrics, `${P}requests_total`, { route })) / seconds), count.format(failed),
      duration(quantile(now.metrics, null, `${P}request_seconds`, 0.5, { route })), duration(quantile(now.metrics, null, `${P}request_seconds`, 0.99, { route }))];
  }));
  rows("tasks", valuesOf(now.metrics, `${P}lookups_total`, "task").map((task) => {
    const of = (outcome) => total(now.metrics, `${P}lookups_total`, { task, outcome });
    const all = of("hit") + of("miss") + of("coalesced");
    return [task, count.format(all), percent(of("hit") / all), percent(of("coalesced") / all), percent(of("miss") / all)];
  }));
}

function showServed(metrics) {
  const [info] = metrics.get(`${P}bundle_info`) ?? [];
  byId("served").textContent = info
    ? `${info.labels.name} ${info.labels.version} · ${info.labels.precision} on ${info.labels.provider} · encoder ${info.labels.fingerprint.slice(0, 8)}`
    : "no bundle is loaded";
}

async function read() {
  try {
    const [ready, response] = await Promise.all([fetch("/readyz"), call("/metrics", {}, { again: false })]);
    if (!response.ok) {
      byId("served").textContent = "";
      byId("state").textContent = "The metrics take an API key here.";
      return;
    }
    const now = { at: performance.now() / 1e3, metrics: parse(await response.text()) };
    const before = readings[readings.length - 1];
    readings.push(now);
    byId("state").textContent = ready.ok ? "Ready." : "Not ready: starting or draining.";
    showServed(now.metrics);
    if (before) {
      points.push(between(now, before));
      const start = readings[Math.max(0, readings.length - 6)];
      showTiles(now.metrics, between(now, start));
      showCharts();
      showTables(now, start);
    }
    if (readings.length > KEPT) readings.shift();
    if (points.length > KEPT) points.shift();
  } catch (error) {
    byId("state").textContent = `The service does not answer (${error.message}).`;
  }
}

async function run() {
  for (;;) {
    if (!document.hidden) await read();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}
offerKey(read);
run();
