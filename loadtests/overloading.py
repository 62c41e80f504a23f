"""Rows O1 to O4: a service that is asked for more than it can do, and what it does of it.

One open loop without a pause: 80 % of the capacity, then many times the capacity, then half of it. Refusing
is work, too: requests have as many texts as somebody would send who scores a page at a time.
"""

import http
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from loadtests.bulk import send_bulk
from loadtests.errors import LoadTestError
from loadtests.growth import resident_bytes
from loadtests.open_loop import (
    Arrivals,
    OpenLoopRun,
    OpenRequest,
    PhasedArrivals,
    RequestBuilder,
    run_open_loop,
)
from loadtests.ratios import Spread
from loadtests.report import RowResult, Target
from loadtests.server import Server
from loadtests.texts import EndlessTexts

BASE_LOAD, AFTER_LOAD = 0.8, 0.5
"""Shares of the capacity before and after the overload."""
P99 = 0.99
P99_GROWTH = 2.0
"""What overload may cost an accepted request."""
SLICES = 6
"""Parts of the overload that are shown beside each other."""
IN_FLIGHT = 8
"""Requests of the closed loop: enough for full batches."""
SAMPLE_S = 0.25
FOUND_SHARE = 0.01
"""Of texts that may be the same to the encoder, for an accent or so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadPlan:
    """How much of what."""

    task: str
    texts_per_request: int = 16
    capacity_texts: int = 4096
    """Of each closed loop, before and after."""
    base_s: float = 60.0
    overload_s: float = 60.0
    after_s: float = 15.0
    factor: float = 10.0
    seed: int = 0

    def arrivals(self, capacity_texts_per_s: float) -> PhasedArrivals:
        """Before, during and after the overload."""
        requests_per_s = capacity_texts_per_s / self.texts_per_request
        shares = ((BASE_LOAD, self.base_s), (self.factor, self.overload_s), (AFTER_LOAD, self.after_s))
        return PhasedArrivals(
            phases=tuple(
                Arrivals(
                    rate_per_s=share * requests_per_s,
                    duration_s=duration_s,
                    texts_per_request=self.texts_per_request,
                    seed=self.seed + place,
                )
                for place, (share, duration_s) in enumerate(shares)
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident bytes of the service, sampled on the monotonic clock."""

    samples: list[tuple[float, int]]

    def peak(self, since_s: float, until_s: float) -> int:
        """The most in a part of the time."""
        return max(each for at_s, each in self.samples if since_s <= at_s < until_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """What was seen."""

    plan: OverloadPlan
    capacity: Spread
    """Texts a second of the closed loops, before and after."""
    run: OpenLoopRun
    memory: Memory

    @property
    def begin_s(self) -> float:
        """When the overload begins, since the start of the run."""
        return self.plan.base_s

    @property
    def end_s(self) -> float:
        """When it ends."""
        return self.plan.base_s + self.plan.overload_s

    @property
    def base(self) -> OpenLoopRun:
        """At 80 % of the capacity."""
        return self.run.during(0.0, self.begin_s)

    @property
    def overloaded(self) -> OpenLoopRun:
        """Requests sent within the overload."""
        return self.run.during(self.begin_s, self.end_s)

    def slices(self) -> list[tuple[float, float]]:
        """Parts of the overload of equal length: begin and end of each."""
        step_s = self.plan.overload_s / SLICES
        return list(pairwise(self.begin_s + place * step_s for place in range(SLICES + 1)))


def builder(task: str) -> RequestBuilder:
    """Requests that ask one task."""

    def build(texts: Sequence[str]) -> OpenRequest:
        body = json.dumps({"inputs": list(texts)}).encode()
        return OpenRequest(path=f"/v1/tasks/{task}/predict", body=body)

    return build


def closed_loop_capacity(server: Server, texts: Sequence[str], *, task: str, texts_per_request: int) -> float:
    """Texts a second of a few clients that ask without a pause.

    Raises:
        LoadTestError: If a request fails, or a text was not cold.
    """
    run = send_bulk(server, texts, tasks=[task], texts_per_request=texts_per_request, in_flight=IN_FLIGHT)
    if run.found > FOUND_SHARE * len(texts):
        raise LoadTestError(f"{run.found} texts were not cold: the capacity would mean nothing.")
    return run.texts_per_s


def overload(server: Server, pool: EndlessTexts, plan: OverloadPlan) -> Overload:
    """Find the capacity, load, overload, and find it again.

    Raises:
        LoadTestError: If what counts as answered was not computed.
    """

    def capacity() -> float:
        texts = pool.take(plan.capacity_texts)
        return closed_loop_capacity(server, texts, task=plan.task, texts_per_request=plan.texts_per_request)

    before = capacity()
    arrivals = plan.arrivals(before)
    texts = pool.take(arrivals.num_texts)
    computed = computed_sequences(server)
    with watch_memory(server) as memory:
        run = run_open_loop(server.url, texts, arrivals=arrivals, build=builder(plan.task))
    _check_computed(run, computed_sequences(server) - computed)
    return Overload(plan=plan, capacity=Spread(values=(before, capacity())), run=run, memory=memory)


def overload_rows(seen: Overload) -> list[RowResult]:
    """The rows of the report."""
    return [_goodput(seen), _latency(seen), _memory(seen), _recovery(seen)]


def _goodput(seen: Overload) -> RowResult:
    capacity = fmean(seen.capacity.values)
    rate = seen.run.texts_per_s(since_s=seen.begin_s, until_s=seen.end_s)
    parts = [seen.run.texts_per_s(since_s=since_s, until_s=until_s) for since_s, until_s in seen.slices()]
    refused = len(seen.overloaded.answered(http.HTTPStatus.TOO_MANY_REQUESTS))
    return RowResult(
        id="O1",
        what=f"goodput at {seen.plan.factor:g} times the capacity ÷ capacity, open loop, requests of "
        f"{seen.plan.texts_per_request} texts",
        value=rate / capacity,
        spread=Spread(values=tuple(part / capacity for part in parts)),
        target=Target(bound=0.85),
        detail=f"{rate:.0f} texts/s ÷ {capacity:.0f} texts/s (closed loop, mean of "
        f"{seen.capacity.values[0]:.0f} before and {seen.capacity.values[1]:.0f} after); {refused} requests "
        f"were refused, {len(seen.overloaded.answered())} answered",
    )


def _latency(seen: Overload) -> RowResult:
    base_s, overloaded_s = seen.base.latency_s(P99), seen.overloaded.latency_s(P99)
    parts = [part for each in seen.slices() if (part := seen.run.during(*each)).answered()]
    return RowResult(
        id="O2",
        what=f"p99 of accepted requests in the overload ÷ p99 at {BASE_LOAD:.0%} load",
        value=overloaded_s / base_s,
        spread=Spread(values=tuple(part.latency_s(P99) / base_s for part in parts)),
        target=Target(bound=P99_GROWTH, is_upper=True),
        detail=f"{1e3 * overloaded_s:.0f} ms ÷ {1e3 * base_s:.0f} ms; at {BASE_LOAD:.0%} load "
        f"{len(seen.base.answered())} of {len(seen.base.outcomes)} requests were answered",
    )


def _memory(seen: Overload) -> RowResult:
    thirds = [seen.run.started_s + seen.begin_s + share * seen.plan.overload_s / 3 for share in range(4)]
    first, *later = (seen.memory.peak(*third) for third in pairwise(thirds))
    growth = tuple(100 * (each / first - 1) for each in later)
    before = seen.memory.samples[0][1]
    return RowResult(
        id="O3",
        what="growth of resident memory from the first third of the overload to the last",
        value=growth[-1],
        spread=Spread(values=growth),
        target=Target(bound=3, is_upper=True, unit=" %"),
        detail=f"peaks {first / 1e6:.0f} MB and {later[-1] / 1e6:.0f} MB; {before / 1e6:.0f} MB before",
    )


def _recovery(seen: Overload) -> RowResult:
    bound_s = P99_GROWTH * seen.base.latency_s(P99)
    after = seen.run.during(seen.end_s, seen.end_s + seen.plan.after_s)
    late_s = [
        each.intended_s - seen.end_s
        for each in after.outcomes
        if each.status != http.HTTPStatus.OK or each.latency_s > bound_s
    ]
    recovered_s = max(late_s, default=0.0)
    return RowResult(
        id="O4",
        what=f"from the end of the overload to the last request that is refused, or above O2's bound, at "
        f"{AFTER_LOAD:.0%} load",
        value=recovered_s,
        spread=Spread(values=(recovered_s,)),
        target=Target(bound=2, is_upper=True, unit=" s"),
        detail=f"{len(late_s)} of {len(after.outcomes)} requests",
    )


@contextmanager
def watch_memory(server: Server) -> Iterator[Memory]:
    """Sample the service's memory for the time of the block."""
    memory, is_over = Memory(samples=[(time.monotonic(), resident_bytes(server))]), threading.Event()

    def sample() -> None:
        while not is_over.wait(SAMPLE_S):
            memory.samples.append((time.monotonic(), resident_bytes(server)))

    thread = threading.Thread(target=sample, name="memory")
    thread.start()
    try:
        yield memory
    finally:
        is_over.set()
        thread.join()


def computed_sequences(server: Server) -> float:
    """Sequences that the encoder has computed since the start."""
    connection = server.connect()
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("encodeonce_batch_sequences_sum"))


def _check_computed(run: OpenLoopRun, computed: float) -> None:
    answered = len(run.answered()) * run.arrivals.texts_per_request
    if computed < (1 - FOUND_SHARE) * answered:
        raise LoadTestError(
            f"{answered} texts were answered and {computed:.0f} computed: they were not cold, and the rate "
            "means nothing."
        )
