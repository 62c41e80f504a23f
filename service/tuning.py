"""What only the machine can say: measured at the start, on the real graph, within a second or so."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from export.manifest import Precision
from service.settings import Provider

ROUNDS = 3
LIMIT_S = 0.8
"""No further round begins after so many seconds: the service is to be ready."""

K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the cores share an encoder batch.

    Attributes:
        lanes: Parts that the batch's rows are cut into, each computed by a call of its own at the same time.
        threads: That work together on each part.
    """

    lanes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.lanes} x {self.threads}"


def candidate_ways(cores: int) -> tuple[Way, ...]:
    """Ways to use so many cores, from all together on one part to each on its own.

    Threads that work together wait for each other after every operator; lanes meet once, at the end, but
    only where there are rows enough.
    """
    threads = [count for count in (cores, 2, 1) if cores % count == 0]
    return tuple(Way(lanes=cores // count, threads=count) for count in dict.fromkeys(threads))


def candidate_precisions(kept: Collection[Precision], provider: Provider) -> tuple[Precision, ...]:
    """Precisions of a bundle that a provider computes in; fp32 first.

    Each has one: a CPU would only cast fp16 back and forth, and CUDA has no kernel for the integer products.
    """
    reduced = Precision.FP16 if provider is Provider.CUDA else Precision.INT8
    return (Precision.FP32, *(each for each in kept if each is reduced))


def time_in_turn(
    runs: Mapping[K, Callable[[], object]],
    *,
    rounds: int = ROUNDS,
    limit_s: float = LIMIT_S,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[K, float]:
    """Seconds of each run, the quickest of several: other processes only ever add.

    Args:
        runs: Each is run once untimed, for what it allocates.
        rounds: At most; A B A B …, so that a disturbance meets all of them.
        limit_s: Seconds after which no further round begins. The first one always does.
        clock: Monotonic seconds.
    """
    started_s = clock()
    for run in runs.values():
        run()
    quickest: dict[K, float] = {}
    for number in range(rounds):
        if number and clock() - started_s >= limit_s:
            break
        for key, run in runs.items():
            begun_s = clock()
            run()
            seconds = clock() - begun_s
            quickest[key] = min(seconds, quickest.get(key, seconds))
    return quickest
