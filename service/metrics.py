"""Every metric of the service: name, unit, labels and buckets.

One process serves, so the metrics live in its memory, in a registry of their own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.byte_lru import ByteLRU
from service.encoding import BatchSize
from service.models.encoders import EncoderHosts
from service.models.registry import ModelRegistry
from service.second_tier.tier import TierRead, TierWrite
from service.shared_encoder import Lookup
from service.telemetry.finished import FinishedRequest

PREFIX = "encodeonce_"

M = TypeVar("M", Counter, Histogram)

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
SEQUENCES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


class Metrics:
    """What is counted. An ``Observer`` for the engine."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        # A second series for every counter, which no one reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._counters("requests", "Requests answered.", "route", "method", "status")
        self._request_seconds = self._histograms("request_seconds", "Time of a request.", SECONDS, "route")
        self._task_requests = self._counters(
            "task_requests", "Requests that asked for a task.", "task", "status"
        )
        self._model_requests = self._counters(
            "model_requests", "Requests by the version that answered.", "name", "version", "status"
        )
        self._stage_seconds = self._histograms(
            "stage_seconds", "Time of a request in tokenise, queue, encode or head.", SECONDS, "stage"
        )
        self._batch_rows = self._histogram("batch_rows", "Packed rows of an encoder batch.", ROWS)
        self._batch_sequences = self._histogram(
            "batch_sequences", "Sequences of an encoder batch.", SEQUENCES
        )
        self._batch_tokens = self._histogram("batch_tokens", "Tokens of a batch, without padding.", TOKENS)
        self._padding_tokens = self._counter("padding_tokens", "Padding computed in encoder batches.")
        self._lookups = self._counters(
            "lookups", "Sequences by outcome: hit, miss (a new encoder row), coalesced.", "task", "outcome"
        )

        self._tier_reads = self._counters("tier_reads", "Sequences looked for in the second tier.", "outcome")
        self._tier_writes = self._counters("tier_writes", "Sequences for the second tier.", "outcome")
        self._tier_seconds = self._histogram(
            "tier_seconds", "What reading from the second tier added to a request.", SECONDS
        )

    def saw_request(self, request: FinishedRequest) -> None:
        """A request was answered."""
        self._requests[request.route, request.method, request.status].inc()
        self._request_seconds[request.route,].observe(request.seconds)
        if request.model is not None:
            name, version = request.model
            self._model_requests[name, version, request.status].inc()
        if not request.tasks:
            return
        for task in request.tasks:
            self._task_requests[task, request.status].inc()
        for stage, seconds in request.times.by_stage().items():
            self._stage_seconds[stage,].observe(seconds)

    def saw_batch(self, size: BatchSize) -> None:
        """An encoder batch ran."""
        self._batch_rows.observe(size.rows)
        self._batch_sequences.observe(size.sequences)
        self._batch_tokens.observe(size.tokens)
        self._padding_tokens.inc(size.rows * size.row_len - size.tokens)

    def saw_lookups(self, task: str, lookups: Sequence[Lookup]) -> None:
        """A request looked up these sequences for a task."""
        for outcome in set(lookups):
            self._lookups[task, outcome.value].inc(lookups.count(outcome))

    def saw_tier_reads(self, outcome: TierRead, count: int) -> None:
        """So many sequences were looked for in the second tier."""
        self._tier_reads[outcome.value,].inc(count)

    def saw_tier_writes(self, outcome: TierWrite, count: int) -> None:
        """So many sequences were to be stored in the second tier."""
        self._tier_writes[outcome.value,].inc(count)

    def saw_tier_wait(self, seconds: float) -> None:
        """A request waited for the second tier."""
        self._tier_seconds.observe(seconds)

    def watch_tier(self, is_gone: Callable[[], bool]) -> None:
        """Read the second tier's state whenever the metrics are read."""
        gauge = Gauge(f"{PREFIX}tier_gone", "1 while its server is left alone.", registry=self.registry)
        gauge.set_function(lambda: float(is_gone()))

    def watch(self, *, models: ModelRegistry, encoders: EncoderHosts) -> None:
        """Read models and queues whenever the metrics are read."""
        self.registry.register(_State(models=models, encoders=encoders))

    def watch_stores(self, stores: Mapping[str, ByteLRU[Any]]) -> None:
        """Read the caches, by their names, whenever the metrics are read."""
        self.registry.register(_Stores(stores))

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, documentation, labels, registry=self.registry)

    def _counters(self, name: str, documentation: str, *labels: str) -> "_Series[Counter]":
        return _Series(self._counter(name, documentation, *labels))

    def _histogram(self, name: str, documentation: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(PREFIX + name, documentation, labels, buckets=buckets, registry=self.registry)

    def _histograms(
        self, name: str, documentation: str, buckets: Sequence[float], *labels: str
    ) -> "_Series[Histogram]":
        return _Series(self._histogram(name, documentation, buckets, *labels))


class _Series(dict[tuple[object, ...], M]):
    """A metric's series by the values of their labels: each is looked up in the library once."""

    def __init__(self, metric: M) -> None:
        super().__init__()
        self._metric: M = metric

    def __missing__(self, labels: tuple[object, ...]) -> M:
        series: M = self._metric.labels(*labels)
        self[labels] = series
        return series


class _State(Collector):
    """Gauges that are read instead of set."""

    def __init__(self, *, models: ModelRegistry, encoders: EncoderHosts) -> None:
        self._models = models
        self._encoders = encoders

    def collect(self) -> Iterable[Metric]:
        """What Prometheus reads at a scrape."""
        batchers = [host.batcher for host in self._encoders]
        yield _gauge("queue_sequences", "Sequences that wait.", sum(each.queue_len for each in batchers))
        yield _gauge("queue_tokens", "Tokens that wait.", sum(each.queue_tokens for each in batchers))
        yield _gauge("requests_in_flight", "Requests that a model is leased to.", self._models.requests)
        failed = max((each.failed_batches for each in batchers), default=0)
        yield _gauge("failed_batches", "Encoder batches in a row that gave nothing but failures.", failed)
        runs = max(
            (max(each.engine.heads.failed_runs.values(), default=0) for each in self._models), default=0
        )
        yield _gauge("failed_head_runs", "Runs in a row that a head failed on.", runs)
        yield self._bundle_info()

    def _bundle_info(self) -> Metric:
        labels = ["name", "version", "fingerprint", "precision", "provider"]
        info = _gauge("bundle_info", "1 for every loaded bundle; what it is, in the labels.", labels=labels)
        for model in self._models:
            info.add_metric(
                [
                    model.name,
                    model.version,
                    model.engine.manifest.encoder.fingerprint,
                    model.bundle.precision.value,
                    model.host.parts.provider,
                ],
                1,
            )
        return info


class _Stores(Collector):
    """What caches hold, read instead of set."""

    def __init__(self, stores: Mapping[str, ByteLRU[Any]]) -> None:
        self._stores = stores

    def collect(self) -> Iterable[Metric]:
        """What Prometheus reads at a scrape."""
        num_bytes = _gauge("cache_bytes", "Memory of a store.", labels=["store"])
        max_bytes = _gauge("cache_max_bytes", "Bound of a store.", labels=["store"])
        entries = _gauge("cache_entries", "Sequences, or answered requests, in a store.", labels=["store"])
        evicted = CounterMetricFamily(f"{PREFIX}cache_evictions", "Entries pushed out.", labels=["store"])
        for name, store in self._stores.items():
            num_bytes.add_metric([name], store.num_bytes)
            max_bytes.add_metric([name], store.max_bytes)
            entries.add_metric([name], len(store))
            evicted.add_metric([name], store.num_evicted)
        yield from (num_bytes, max_bytes, entries, evicted)


def _gauge(
    name: str, documentation: str, value: float | None = None, labels: Sequence[str] | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, documentation, value=value, labels=labels)
