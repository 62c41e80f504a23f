"""An open loop: requests leave when a Poisson process says so, whether or not earlier ones are answered.

Whoever waits for an answer before the next request measures a server that is never late. Here latency
counts from the moment at which a request was to be sent, so that a stall of the server, or of the sender,
is in every request that it delayed. The sender is a process of its own (``loadtests.open_loop_sender``) that
imports nothing but sockets, is pinned to one core, and says what it took of it.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from loadtests.errors import LoadTestError
from loadtests.ratios import quantile
from loadtests.server import ROOT

OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """One POST."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


RequestBuilder: TypeAlias = Callable[[Sequence[str]], OpenRequest]
"""Makes a request of its texts. Every peer has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """When requests are to be sent."""

    rate_per_s: float
    """Requests, not texts."""
    duration_s: float
    texts_per_request: int = 1
    seed: int = 0

    def times_s(self) -> list[float]:
        """Seconds since the start, ascending: a Poisson process, the same for the same seed."""
        generator = random.Random(self.seed)
        times: list[float] = []
        at_s = generator.expovariate(self.rate_per_s)
        while at_s < self.duration_s:
            times.append(at_s)
            at_s += generator.expovariate(self.rate_per_s)
        return times

    @property
    def num_texts(self) -> int:
        """Texts of all requests together."""
        return len(self.times_s()) * self.texts_per_request


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasedArrivals:
    """One rate after the other, without a pause."""

    phases: tuple[Arrivals, ...]
    """At least one; all of as many texts a request."""

    def times_s(self) -> list[float]:
        """Seconds since the start of the first phase, ascending."""
        return [
            begin_s + each_s
            for begin_s, phase in zip(self.begins_s, self.phases, strict=True)
            for each_s in phase.times_s()
        ]

    @property
    def begins_s(self) -> list[float]:
        """When each phase begins."""
        return [sum(each.duration_s for each in self.phases[:place]) for place in range(len(self.phases))]

    @property
    def duration_s(self) -> float:
        """Of all phases together."""
        return sum(phase.duration_s for phase in self.phases)

    @property
    def texts_per_request(self) -> int:
        """In every phase."""
        return self.phases[0].texts_per_request

    @property
    def num_texts(self) -> int:
        """Texts of all requests together."""
        return sum(phase.num_texts for phase in self.phases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one request. Seconds since the start of the run."""

    intended_s: float
    """When it was to be sent."""
    sent_s: float
    """When the sender got to it."""
    finished_s: float
    """When its answer was complete, its connection broke, or the run gave it up."""
    status: int | None
    """None: no answer."""

    @property
    def latency_s(self) -> float:
        """What somebody waited who came at the intended time."""
        return self.finished_s - self.intended_s


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoopRun:
    """What an open loop gave."""

    arrivals: Arrivals | PhasedArrivals
    outcomes: tuple[Outcome, ...]
    """In the order in which they were to be sent."""
    sender_cpu_s: float
    """CPU seconds of the sender, user and system."""
    sender_wall_s: float
    started_s: float
    """On this machine's monotonic clock."""
    failures: Mapping[str, str]
    """The first answer's body of every status but 200, or why there was none."""

    @property
    def sender_cpu_share(self) -> float:
        """Of one core."""
        return self.sender_cpu_s / self.sender_wall_s

    def during(self, since_s: float, until_s: float) -> "OpenLoopRun":
        """The requests that were to be sent in a part of the time, alone."""
        outcomes = tuple(each for each in self.outcomes if since_s <= each.intended_s < until_s)
        return replace(self, outcomes=outcomes)

    def answered(self, status: int | None = OK) -> list[Outcome]:
        """The requests that ended so."""
        return [each for each in self.outcomes if each.status == status]

    def latency_s(self, share: float) -> float:
        """Quantile of the latency of requests that were answered with 200.

        Raises:
            LoadTestError: If there are none.
        """
        latencies = [each.latency_s for each in self.answered()]
        if not latencies:
            raise LoadTestError(f"No request was answered with 200: {dict(self.failures)}")
        return quantile(latencies, share)

    def lateness_s(self, share: float) -> float:
        """Quantile of the sender's own delay, which is in the latencies, too."""
        return quantile([each.sent_s - each.intended_s for each in self.outcomes], share)

    def texts_per_s(self, *, since_s: float = 0.0, until_s: float | None = None) -> float:
        """Rate of texts answered with 200, by the time of their answer; by default until arrivals end."""
        end_s = self.arrivals.duration_s if until_s is None else until_s
        count = sum(since_s <= each.finished_s < end_s for each in self.answered())
        return count * self.arrivals.texts_per_request / (end_s - since_s)


def run_open_loop(
    url: str,
    texts: Sequence[str],
    *,
    arrivals: Arrivals | PhasedArrivals,
    build: RequestBuilder,
    grace_s: float = 30.0,
) -> OpenLoopRun:
    """Send texts as they arrive, and wait for what is still under way at the end.

    Args:
        url: The server's: ``http://127.0.0.1:3000``.
        texts: At least ``arrivals.num_texts``; the first of them are sent, each once.
        arrivals: How many, and when.
        build: Makes a request of ``arrivals.texts_per_request`` texts.
        grace_s: Seconds that the last answers may take; what is not there then counts as not answered.

    Raises:
        LoadTestError: If there are too few texts, or nothing arrives in the whole time, or the sender fails.
    """
    times_s, size = arrivals.times_s(), arrivals.texts_per_request
    if not times_s:
        raise LoadTestError(f"Nothing arrives in {arrivals.duration_s} s: the rate is too low.")
    if len(times_s) * size > len(texts):
        raise LoadTestError(f"The open loop needs {len(times_s) * size} texts; there are {len(texts)}.")
    address = urlsplit(url)
    requests = [
        _raw(build(texts[start : start + size]), address.netloc)
        for start in range(0, len(times_s) * size, size)
    ]
    plan = {
        "host": address.hostname,
        "port": address.port,
        "times_s": times_s,
        "lengths": [len(request) for request in requests],
        "grace_s": grace_s,
        "cpu": max(os.sched_getaffinity(0)),
    }
    result = _run_sender(json.dumps(plan).encode() + b"\n" + b"".join(requests))
    outcomes = tuple(
        Outcome(intended_s=intended_s, sent_s=sent_s, finished_s=finished_s, status=status)
        for intended_s, (sent_s, finished_s, status) in zip(times_s, result["outcomes"], strict=True)
    )
    return OpenLoopRun(
        arrivals=arrivals,
        outcomes=outcomes,
        sender_cpu_s=result["cpu_s"],
        sender_wall_s=result["wall_s"],
        started_s=result["started_s"],
        failures=result["failures"],
    )


def _raw(request: OpenRequest, host: str) -> bytes:
    headers = {"host": host, "content-length": str(len(request.body)), **request.headers}
    lines = [f"POST {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + request.body


def _run_sender(plan: bytes) -> Any:  # noqa: ANN401 - JSON
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.open_loop_sender"],
        input=plan, capture_output=True, cwd=ROOT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise LoadTestError(f"The sender of the open loop failed: {done.stderr.decode()[-2000:]}")
    return json.loads(done.stdout)
