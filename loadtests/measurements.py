"""The rows of the table of targets, one function each.

Texts are cold: every row has freshly started services, and within a row no text is sent to a service twice,
warm-up included. Every answer reports what the cache found, and anything but zero ends the measurement.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.manifest import Precision
from loadtests.answers import check_answers
from loadtests.bare_loop import BareLoop
from loadtests.bulk import BulkRun, send_bulk
from loadtests.closed_loop import run_closed_loop
from loadtests.errors import LoadTestError
from loadtests.ratios import Ratio, Spread, interleave
from loadtests.report import RowResult, Target
from loadtests.server import Server, serve
from loadtests.targets import PLANNED
from loadtests.texts import TextPool

MIN_TASKS = 6
SAMPLE_TEXTS = 512
"""Most texts on which a bare loop's shape is chosen."""
CHECKED_TEXTS = 64
"""Texts whose answers are compared before the speeds."""

OnStep = Callable[[int, int], None]
"""Told the steps that are done, and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all rows share."""

    bundle: Path
    bare: BareLoop
    texts: Sequence[str]
    """Distinct to the encoder."""
    threads: int
    pairs: int
    starts: int
    requests: int
    texts_per_run: int
    texts_per_request: int
    in_flight: int
    concurrency: int
    window_s: float

    @property
    def task(self) -> str:
        """The one that is asked where one is: the bundle's first on single texts."""
        return next(iter(self.bare.single_text_tasks))

    def check_supply(self) -> None:
        """Find out now, and not in the last pair, whether there are enough texts.

        Raises:
            LoadTestError: If a row would run out of them.
        """
        # B6 warms up two services.
        TextPool(self.texts).take(2 * self._warm_up_texts + self.pairs * self.texts_per_run)

    @property
    def _warm_up_texts(self) -> int:
        return max(CHECKED_TEXTS, self.texts_per_request * self.in_flight)

    def send(self, server: Server, texts: Sequence[str], tasks: Sequence[str]) -> BulkRun:
        """Send cold texts in bulk.

        Raises:
            LoadTestError: If the service had encoded any of them before.
        """
        run = send_bulk(
            server, texts, tasks=tasks, texts_per_request=self.texts_per_request, in_flight=self.in_flight
        )
        _refuse_hits(run.found)
        return run

    def reduced_bare(self, precision: Precision) -> BareLoop:
        """The bare loop in another precision, in its own best shape.

        Raises:
            LoadTestError: If the bundle does not have it.
        """
        if precision not in self.bare.manifest.encoder.graphs:
            raise LoadTestError(
                f"{self.bundle} has no {precision} encoder. If it is the bench's own, remove it, and it will "
                f"be built again; else export with --precisions {precision}."
            )
        bare = BareLoop(self.bundle, threads=self.threads, precision=precision)
        bare.find_shape(self.texts[-min(SAMPLE_TEXTS, self.texts_per_run) :], self.task)
        return bare

    def warm_up(
        self, server: Server, pool: TextPool, tasks: Sequence[str], *, bare: BareLoop | None = None
    ) -> None:
        """Compare answers, and make the service allocate what it needs, on texts that are not measured.

        Raises:
            LoadTestError: If the service does not answer as the bare loop does.
        """
        texts = pool.take(self._warm_up_texts)
        answers = self.send(server, texts, tasks).answers[:CHECKED_TEXTS]
        logits = (bare or self.bare).logits(texts[:CHECKED_TEXTS], tasks)
        check_answers(answers, logits, self.bare.single_text_tasks)


def measure_b1(bench: Bench, on_step: OnStep) -> RowResult:
    """Bulk requests ÷ bare loop."""
    return _bulk_row("B1", bench, on_step, bench.bare, Precision.FP32, PLANNED["B1"].target)


def measure_b2(bench: Bench, on_step: OnStep) -> RowResult:
    """The same in int8 on both sides."""
    bare = bench.reduced_bare(Precision.INT8)
    return _bulk_row("B2", bench, on_step, bare, Precision.INT8, PLANNED["B2"].target)


def _bulk_row(
    name: str, bench: Bench, on_step: OnStep, bare_loop: BareLoop, precision: Precision, target: Target
) -> RowResult:
    pool = TextPool(bench.texts)
    chunks: list[list[str]] = []
    environment = {"ENCODEONCE_PRECISION": precision.value}
    with serve(bench.bundle, threads=bench.threads, environment=environment) as server:
        bench.warm_up(server, pool, [bench.task], bare=bare_loop)

        def service(_pair: int) -> float:
            chunks.append(pool.take(bench.texts_per_run))
            return bench.send(server, chunks[-1], [bench.task]).texts_per_s

        def bare(pair: int) -> float:
            return bare_loop.texts_per_s(chunks[pair], bench.task)

        ratio = interleave(service, bare, pairs=bench.pairs, on_pair=lambda done: on_step(done, bench.pairs))
    what = (
        f"bulk requests of {bench.texts_per_request} texts, {bench.in_flight} in flight ÷ bare loop, "
        f"{precision}"
    )
    return _ratio_row(name, what, ratio, target, "bare loop")


def measure_b3(bench: Bench, on_step: OnStep) -> RowResult:
    """Single texts in a closed loop ÷ bare loop."""
    pool = TextPool(bench.texts)
    chunks: list[list[str]] = []
    with serve(bench.bundle, threads=bench.threads) as server:
        bench.warm_up(server, pool, [bench.task])

        def service(pair: int) -> float:
            texts = pool.take(pool.remaining // (bench.pairs - pair))
            run = run_closed_loop(
                server, texts, task=bench.task, concurrency=bench.concurrency, window_s=bench.window_s
            )
            _refuse_hits(run.found)
            pool.give_back(len(texts) - run.sent)
            chunks.append(texts[: run.sent])
            return run.texts_per_s

        def bare(pair: int) -> float:
            return bench.bare.texts_per_s(chunks[pair], bench.task)

        ratio = interleave(service, bare, pairs=bench.pairs, on_pair=lambda done: on_step(done, bench.pairs))
    what = f"single texts at concurrency {bench.concurrency} ÷ bare loop, fp32"
    return _ratio_row("B3", what, ratio, PLANNED["B3"].target, "bare loop")


def measure_b6(bench: Bench, on_step: OnStep) -> RowResult:
    """All tasks on single texts ÷ one of them.

    The same texts, cold, on either side: there are two services, and they change sides after every pair, so
    that what one process has of luck (memory layout) falls on both sides.
    """
    tasks = list(bench.bare.single_text_tasks)
    if len(tasks) < MIN_TASKS:
        raise LoadTestError(
            f"B6 needs a bundle with at least {MIN_TASKS} tasks on single texts; "
            f"{bench.bundle} has {len(tasks)}. Leave --bundle out for one that has."
        )
    pool = TextPool(bench.texts)
    chunks: list[list[str]] = []
    with (
        serve(bench.bundle, threads=bench.threads) as first,
        serve(bench.bundle, threads=bench.threads) as second,
    ):
        for server in (first, second):
            bench.warm_up(server, pool, tasks)

        def all_tasks(pair: int) -> float:
            chunks.append(pool.take(bench.texts_per_run))
            return bench.send((first, second)[pair % 2], chunks[pair], tasks).texts_per_s

        def one_task(pair: int) -> float:
            return bench.send((second, first)[pair % 2], chunks[pair], tasks[:1]).texts_per_s

        ratio = interleave(
            all_tasks, one_task, pairs=bench.pairs, on_pair=lambda done: on_step(done, bench.pairs)
        )
    what = f"texts/s with {len(tasks)} tasks asked ÷ with one, bulk requests, fp32"
    return _ratio_row("B6", what, ratio, PLANNED["B6"].target, "one task")


def measure_b13(bench: Bench, on_step: OnStep) -> RowResult:
    """Start to ready."""
    seconds = []
    for start in range(bench.starts):
        with serve(bench.bundle, threads=bench.threads) as server:
            seconds.append(server.ready_s)
        on_step(start + 1, bench.starts)
    spread = Spread(values=tuple(seconds))
    return RowResult(
        id="B13",
        what="start of the process to /readyz 200, golden check passed",
        value=spread.median,
        spread=spread,
        target=PLANNED["B13"].target,
        detail=f"median of {bench.starts} starts",
    )


def _ratio_row(name: str, what: str, ratio: Ratio, target: Target, divisor: str) -> RowResult:
    return RowResult(
        id=name,
        what=what,
        value=ratio.of_medians,
        spread=ratio.of_pairs,
        target=target,
        detail=f"{ratio.a.median:.0f} texts/s ÷ {ratio.b.median:.0f} texts/s ({divisor})",
    )


def _refuse_hits(found: int) -> None:
    if found:
        raise LoadTestError(
            f"{found} texts were found in the cache: they were not cold, and the rate means nothing."
        )
