"""B14: does the service grow? Its memory over many requests of random lengths, tasks and sizes.

The caches are small, so that they are full long before the first reading: what grows after that is no cache.
"""

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import psutil

from loadtests.bulk import post
from loadtests.measurements import Bench, OnStep
from loadtests.ratios import Spread
from loadtests.report import RowResult
from loadtests.server import Server, serve
from loadtests.targets import PLANNED

CACHE_BYTES = 4 * 1024 * 1024
CONNECTIONS = 8
MOST_TEXTS = 4
"""Of one request."""
MOST_WORDS = 240
"""Of one text: beyond the 256 tokens of the bench's encoder now and then."""
READINGS = 10
"""Of memory, evenly over the requests; the first is the one that the last is compared with."""


def measure_b14(bench: Bench, on_step: OnStep) -> RowResult:
    """Growth of the resident memory from a tenth of the requests on to the last."""
    tasks = list(bench.bare.single_text_tasks)
    bodies = request_bodies(bench.texts, tasks, seed=0)
    environment = {
        f"ENCODEONCE_{store}_CACHE_BYTES": str(CACHE_BYTES) for store in ("POOLED", "STATES", "ANSWER")
    }
    readings: list[float] = []
    with serve(bench.bundle, threads=bench.threads, environment=environment) as server:
        for number in range(READINGS):
            send(server, islice(bodies, bench.requests // READINGS))
            readings.append(resident_bytes(server))
            on_step(number + 1, READINGS)
    growth = tuple(100 * (each / readings[0] - 1) for each in readings)
    return RowResult(
        id="B14",
        what=f"growth of resident memory from request {bench.requests // READINGS} to {bench.requests}, "
        "random lengths and tasks",
        value=growth[-1],
        spread=Spread(values=growth[1:]),
        target=PLANNED["B14"].target,
        detail=f"{readings[0] / 1e6:.0f} MB to {readings[-1] / 1e6:.0f} MB",
    )


def request_bodies(texts: Sequence[str], tasks: Sequence[str], *, seed: int) -> Iterator[bytes]:
    """Endless requests: a few texts of random length, made of the given ones, and some of the tasks."""
    choice = random.Random(seed)
    words = [word for text in texts for word in text.split()]
    while True:
        inputs = []
        for _ in range(choice.randint(1, MOST_TEXTS)):
            # Short ones are frequent, and every length occurs.
            length = max(1, round(MOST_WORDS ** choice.random()))
            start = choice.randrange(max(1, len(words) - length))
            inputs.append(" ".join(words[start : start + length]))
        asked = choice.sample(tasks, choice.randint(1, len(tasks)))
        yield json.dumps({"inputs": inputs, "tasks": asked}).encode()


def send(server: Server, bodies: Iterator[bytes]) -> None:
    """Send requests over a few connections.

    Raises:
        LoadTestError: If one is refused or fails.
    """
    waiting = iter(list(bodies))  # a list's iterator may be shared between threads

    def send_all() -> None:
        connection = server.connect()
        try:
            for body in waiting:
                post(connection, body)
        finally:
            connection.close()

    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="growth") as clients:
        for client in [clients.submit(send_all) for _ in range(CONNECTIONS)]:
            client.result()


def resident_bytes(server: Server) -> int:
    """Of the service's largest process, the one that holds encoder and cache."""
    family = psutil.Process(server.pid).children(recursive=True)
    return max(int(process.memory_info().rss) for process in family)
