"""Every row of the table of targets, measured or not: what it is, what it is to reach, what measures it."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadtests.report import Target

BENCH = "python -m loadtests.bench"
PEERS = "python -m loadtests.peers measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """A row before its measurement."""

    what: str
    target: Target
    command: str


def _bench(row: str, what: str, target: Target) -> tuple[str, PlannedRow]:
    return row, PlannedRow(what=what, target=target, command=f"{BENCH} {row}")


def _peers(row: str, what: str, target: Target, *, asked: str | None = None) -> tuple[str, PlannedRow]:
    asked = asked or row.partition("/")[0]
    command = PEERS if asked == "B4" else f"{PEERS} --rows {asked}"
    return row, PlannedRow(what=what, target=target, command=command)


PLANNED: Mapping[str, PlannedRow] = dict(
    (
        _bench("B1", "bulk requests ÷ bare loop, fp32", Target(bound=0.92)),
        _bench("B2", "bulk requests ÷ bare loop, int8", Target(bound=0.85)),
        _bench("B3", "single texts at concurrency 64 ÷ bare loop, fp32", Target(bound=0.72)),
        _peers("B4/1", "fp32 at concurrency 1 ÷ best peer", Target(bound=1.6)),
        _peers("B4/16", "fp32 at concurrency 16 ÷ best peer", Target(bound=1.3)),
        _peers("B4/64", "fp32 at concurrency 64 ÷ best peer", Target(bound=1.45)),
        _peers("B5", "int8 at concurrency 64 ÷ best peer in fp32", Target(bound=2.0)),
        _bench("B6", "texts/s with all tasks asked ÷ with one", Target(bound=0.9)),
        _peers("B7", "six tasks a text ÷ best peer, six passes", Target(bound=5.5)),
        _peers("B7/models", "six tasks a text ÷ best peer, six models", Target(bound=5.5), asked="B12"),
        _peers(
            "B8/1", "time of a cache hit ÷ no-op endpoint, concurrency 1", Target(bound=1.3, is_upper=True)
        ),
        _peers(
            "B8/16", "time of a cache hit ÷ no-op endpoint, concurrency 16", Target(bound=1.3, is_upper=True)
        ),
        _peers("B9/50", "rate at 50 % duplicates ÷ harmonic mix of none and all", Target(bound=0.9)),
        _peers("B9/90", "rate at 90 % duplicates ÷ harmonic mix of none and all", Target(bound=0.9)),
        _peers(
            "B10",
            "CPU a request that the cache adds where nothing is found",
            Target(bound=3, is_upper=True, unit=" %"),
        ),
        _peers(
            "B11",
            "p99 ÷ best peer's p99, Poisson arrivals at 70 % of its capacity, long tail",
            Target(bound=0.5, is_upper=True),
        ),
        _peers(
            "B11/rate",
            "highest Poisson rate with p99 ≤ 250 ms ÷ best peer's, long tail",
            Target(bound=1),
            asked="B11/rate",
        ),
        _peers(
            "B12", "memory (PSS), six tasks ÷ six models on the best peer", Target(bound=0.3, is_upper=True)
        ),
        _bench("B13", "start to ready, golden check passed", Target(bound=4, is_upper=True, unit=" s")),
        _bench("B14", "growth of memory over 10⁵ requests", Target(bound=3, is_upper=True, unit=" %")),
        _bench("B15", "int8 vectors in any company within 1e-3 of alone", Target(bound=98, unit=" %")),
    )
)
