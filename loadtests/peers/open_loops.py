"""Rows of the open loop: latency at one rate for both (B11), and the highest rate of each within a bound."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TypeAlias

from loadtests.errors import LoadTestError
from loadtests.open_loop import Arrivals, OpenLoopRun, OpenRequest, run_open_loop
from loadtests.peers.against_best import BUSY, row
from loadtests.peers.sides import JSON_HEADERS, Side
from loadtests.peers.survey import Contest
from loadtests.peers.texts import with_long_tail
from loadtests.ratios import Ratio, Spread, ratio
from loadtests.report import RowResult

CountTokens: TypeAlias = Callable[[Sequence[str]], list[int]]

LOAD_SHARE = 0.7
"""Of the best peer's capacity."""
PAIRS = 2
BOUND_S = 0.25
"""p99 of a rate that a side is said to keep up with."""
PROBES = 4
"""Rates tried of each side, each halving what is unknown."""
SEARCHED = (0.3, 1.1)
"""Of a side's own rate in a closed loop: where its highest rate is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoops:
    """What both rows send.

    Attributes:
        contest: As for every row.
        num_tokens: Counts the tokens of texts.
        seed: Of arrivals and long texts.
    """

    contest: Contest
    num_tokens: CountTokens
    seed: int = 0
    generator: random.Random = field(default_factory=lambda: random.Random(0))

    def take(self, count: int) -> list[str]:
        """Texts with a long tail."""
        texts = self.contest.texts.take(count)
        return with_long_tail(texts, self.num_tokens(texts), generator=self.generator)

    def capacity(self, side: Side) -> float:
        """Texts a second in a closed loop."""
        texts = self.take(self.contest.rounds.texts_a_run)
        return self.contest.run(side, texts, concurrency=BUSY).texts_per_s

    def arrivals(self, rate: float, number: int) -> Arrivals:
        """Of the run of that number."""
        return Arrivals(rate_per_s=rate, duration_s=self.contest.rounds.open_loop_s, seed=self.seed + number)


def measure_b11(loops: OpenLoops, theirs: Side) -> RowResult:
    """p99 of both in the same open loop.

    Raises:
        LoadTestError: If either side leaves requests without an answer.
    """
    runs: dict[str, list[OpenLoopRun]] = {"ours": [], "theirs": []}
    with loops.contest.ours() as ours:
        rate = LOAD_SHARE * loops.capacity(theirs)
        for pair in range(PAIRS):
            arrivals = loops.arrivals(rate, pair)
            texts = loops.take(arrivals.num_texts)
            for name, side in (("ours", ours), ("theirs", theirs)):
                runs[name].append(_send(side, texts, arrivals))
    found = Ratio(
        a=Spread(values=tuple(each.latency_s(0.99) for each in runs["ours"])),
        b=Spread(values=tuple(each.latency_s(0.99) for each in runs["theirs"])),
    )
    return row("B11", found, detail=_latencies(runs, theirs.title, rate))


def measure_highest_rate(loops: OpenLoops, theirs: Side) -> RowResult:
    """The highest rate with p99 within the bound, each side by itself."""
    with loops.contest.ours() as ours:
        ours_rate, theirs_rate = (_highest(loops, side) for side in (ours, theirs))
    detail = f"{ours_rate:.0f} texts/s ÷ {theirs_rate:.0f} texts/s ({theirs.title})"
    return row("B11/rate", ratio([ours_rate], [theirs_rate]), detail=detail)


def highest_rate(keeps_up: Callable[[float], bool], low: float, high: float, *, probes: int) -> float:
    """The highest rate that was kept up with, by halving.

    Args:
        keeps_up: Whether a rate is.
        low: Where the search starts; taken as kept up with.
        high: Where it ends.
        probes: Rates tried.
    """
    for _ in range(probes):
        middle = (low + high) / 2
        if keeps_up(middle):
            low = middle
        else:
            high = middle
    return low


def _highest(loops: OpenLoops, side: Side) -> float:
    capacity = loops.capacity(side)
    low, high = (share * capacity for share in SEARCHED)
    return highest_rate(partial(_keeps_up, loops, side), low, high, probes=PROBES)


def _keeps_up(loops: OpenLoops, side: Side, rate: float) -> bool:
    arrivals = loops.arrivals(rate, 0)
    try:
        return _send(side, loops.take(arrivals.num_texts), arrivals).latency_s(0.99) <= BOUND_S
    except LoadTestError:  # refused requests: overloaded by its own account
        return False


def _send(side: Side, texts: Sequence[str], arrivals: Arrivals) -> OpenLoopRun:
    def build(batch: Sequence[str]) -> OpenRequest:
        body = json.dumps(side.asking.body(batch[0])).encode()
        return OpenRequest(path=side.asking.path, body=body, headers=JSON_HEADERS)

    with side.awake():
        run = run_open_loop(side.server.url, texts, arrivals=arrivals, build=build)
    if unanswered := len(run.outcomes) - len(run.answered()):
        raise LoadTestError(
            f"{side.title} left {unanswered} of {len(run.outcomes)} requests without an answer: "
            f"{dict(run.failures)}"
        )
    return run


def _latencies(runs: dict[str, list[OpenLoopRun]], title: str, rate: float) -> str:
    def quantiles(side: list[OpenLoopRun]) -> str:
        return " / ".join(
            f"{1e3 * median(run.latency_s(share) for run in side):.0f}" for share in (0.5, 0.95, 0.99)
        )

    sender = max(run.sender_cpu_share for side in runs.values() for run in side)
    return (
        f"p50 / p95 / p99 {quantiles(runs['ours'])} ms ÷ {quantiles(runs['theirs'])} ms ({title}) at "
        f"{rate:.0f} texts/s; the sender took {100 * sender:.0f} % of a core"
    )
