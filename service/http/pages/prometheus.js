// Reads Prometheus' text format, and what its counters and histograms say between two readings.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Samples by metric name: `[{labels, value}]`. */
export function parse(text) {
  const metrics = new Map();
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : SAMPLE.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, key, value]) => [key, value]));
    const value = found[3] === "+Inf" ? Infinity : Number(found[3]);
    if (!metrics.has(found[1])) metrics.set(found[1], []);
    metrics.get(found[1]).push({ labels, value });
  }
  return metrics;
}

const matches = (labels, wanted) => Object.entries(wanted).every(([key, value]) => labels[key] === value);

/** Sum of a metric's samples with these labels; 0 without any. */
export function total(metrics, name, wanted = {}) {
  return (metrics.get(name) ?? []).filter((each) => matches(each.labels, wanted)).reduce((sum, each) => sum + each.value, 0);
}

/** The different values of a label. */
export function valuesOf(metrics, name, label) {
  return [...new Set((metrics.get(name) ?? []).map((each) => each.labels[label]))].sort();
}

/** A histogram's cumulative counts by upper bound, ascending. */
function buckets(metrics, name, wanted) {
  const counts = new Map();
  for (const { labels, value } of metrics.get(`${name}_bucket`) ?? []) {
    if (!matches(labels, wanted)) continue;
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].sort(([a], [b]) => a - b);
}

/** Quantile of what a histogram saw after `before`, by linear interpolation in its bucket; NaN if it saw nothing. */
export function quantile(now, before, name, q, wanted = {}) {
  const earlier = new Map(before ? buckets(before, name, wanted) : []);
  const counts = buckets(now, name, wanted).map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)]);
  const seen = counts.length ? counts[counts.length - 1][1] : 0;
  if (!seen) return NaN;
  let low = 0, below = 0;
  for (const [bound, count] of counts) {
    if (count >= q * seen) return bound === Infinity ? low : low + ((bound - low) * (q * seen - below)) / Math.max(1, count - below);
    [low, below] = [bound, count];
  }
  return low;
}
