"""Row O5: what a bulk job costs those who ask for one text at a time."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from loadtests.bulk import send_bulk
from loadtests.closed_loop import WARM_UP_S, run_closed_loop
from loadtests.open_loop import Arrivals, OpenLoopRun, run_open_loop
from loadtests.overloading import P99, builder
from loadtests.ratios import interleave
from loadtests.report import RowResult, Target
from loadtests.server import Server
from loadtests.texts import EndlessTexts

LOAD = 0.5
"""Of the capacity for single texts."""
CONCURRENCY = 16
"""Of the closed loop that finds it."""
MOST_TEXTS_PER_S = 3000
"""More than a closed loop can use up on the machines that this is for."""
BULK_TEXTS = 2048
"""Of a job's part; the next part follows at once."""
BULK_TEXTS_PER_REQUEST, BULK_IN_FLIGHT = 512, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BesidePlan:
    """How much of what."""

    task: str
    pairs: int = 3
    window_s: float = 15.0
    """Of each open loop."""
    capacity_s: float = 5.0
    seed: int = 0


def measure_bulk_beside_singles(
    server: Server, pool: EndlessTexts, plan: BesidePlan
) -> tuple[RowResult, list[OpenLoopRun]]:
    """p99 of single texts at half load with a bulk job beside them ÷ without. Also returns the runs."""
    rate = LOAD * _singles_capacity(server, pool, plan)
    runs: list[OpenLoopRun] = []
    jobs: list[float] = []

    def p99_s(pair: int) -> float:
        arrivals = Arrivals(rate_per_s=rate, duration_s=plan.window_s, seed=plan.seed + pair)
        texts = pool.take(arrivals.num_texts)
        runs.append(run_open_loop(server.url, texts, arrivals=arrivals, build=builder(plan.task)))
        return runs[-1].latency_s(P99)

    def beside_bulk(pair: int) -> float:
        with bulk_job(server, pool, plan.task) as rates:
            result = p99_s(pair)
        jobs.extend(rates)
        return result

    ratio = interleave(beside_bulk, p99_s, pairs=plan.pairs)
    failed = sum(len(run.outcomes) - len(run.answered()) for run in runs)
    row = RowResult(
        id="O5",
        what=f"p99 of single texts at {LOAD:.0%} load beside a bulk job ÷ without it",
        value=ratio.of_medians,
        spread=ratio.of_pairs,
        target=Target(bound=3, is_upper=True),
        detail=f"{1e3 * ratio.a.median:.0f} ms ÷ {1e3 * ratio.b.median:.0f} ms at {rate:.0f} requests/s, "
        f"{failed} of them failed; the job got {sum(jobs) / len(jobs):.0f} texts/s",
    )
    return row, runs


def _singles_capacity(server: Server, pool: EndlessTexts, plan: BesidePlan) -> float:
    texts = pool.take(int(MOST_TEXTS_PER_S * (plan.capacity_s + WARM_UP_S)))
    run = run_closed_loop(server, texts, task=plan.task, concurrency=CONCURRENCY, window_s=plan.capacity_s)
    return run.texts_per_s


@contextmanager
def bulk_job(server: Server, pool: EndlessTexts, task: str) -> Iterator[Sequence[float]]:
    """A job that never ends within the block. Yields the texts a second of its parts, complete after it."""
    is_over, rates = threading.Event(), list[float]()
    failures: list[Exception] = []

    def work() -> None:
        try:
            while not is_over.is_set():
                texts = pool.take(BULK_TEXTS)
                run = send_bulk(
                    server,
                    texts,
                    tasks=[task],
                    texts_per_request=BULK_TEXTS_PER_REQUEST,
                    in_flight=BULK_IN_FLIGHT,
                )
                rates.append(run.texts_per_s)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work, name="bulk job")
    thread.start()
    try:
        yield rates
    finally:
        is_over.set()
        thread.join()
    if failures:
        raise failures[0]
