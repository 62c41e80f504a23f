"""What only the machine can say: measured at the start, on the real graph, within a second or so."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from export.manifest import Precision
from service.lanes import Crew, Way
from service.packing import PackedBatch
from service.sessions import EncoderSession
from service.settings import Provider

ROUNDS = 3
LIMIT_S = 0.8
"""No further round begins after so many seconds: the service is to be ready."""

K = TypeVar("K")

TOGETHER_MUST_SAVE = 0.1
"""Share of the time that all threads together must save to be preferred to lanes on a busy machine.

They are measured with nothing else to do. In traffic the event loop takes a core now and then, which holds
up one lane, but all of the threads that work together.
"""


def choose_way(seconds: Mapping[Way, float]) -> Way:
    """The quickest way to divide the threads; one lane only where that is clearly quicker.

    Args:
        seconds: Of a full batch: what all lanes took for one each, divided by their number.
    """
    return min(
        seconds, key=lambda way: seconds[way] * (1.0 if way.lanes > 1 else 1 / (1 - TOGETHER_MUST_SAVE))
    )


@contextmanager
def every_lane_busy(session: EncoderSession, batch: PackedBatch) -> Iterator[Callable[[], None]]:
    """What encodes a batch in every lane of a session at the same time; all together where there is one."""
    crew = Crew.LANE if session.lanes > 1 else Crew.ALL
    with ThreadPoolExecutor(session.lanes) as threads:

        def run() -> None:
            encoding = [
                threads.submit(session.encode, batch, with_states=False, crew=crew)
                for _ in range(session.lanes)
            ]
            for each in encoding:
                each.result()

        yield run


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
