"""A bulk client that costs next to nothing: ready-made bodies, plain connections, answers parsed afterwards.

Where the client shares the cores with the service, every cycle of the client is taken from the service.
"""

import http
import http.client
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from loadtests.errors import LoadTestError
from loadtests.server import Server

PREDICT = "/v1/predict"
HEADERS = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRun:
    """What sending some texts took and gave."""

    seconds: float
    answers: list[dict[str, Any]]
    """One for each text, in order: the tasks' answers by name."""
    found: int
    """Sequences that the service did not have to encode."""

    @property
    def texts_per_s(self) -> float:
        """The rate of the whole run, first byte to last."""
        return len(self.answers) / self.seconds


def send_bulk(
    server: Server,
    texts: Sequence[str],
    *,
    tasks: Sequence[str],
    texts_per_request: int,
    in_flight: int,
) -> BulkRun:
    """Ask for tasks on texts, in requests of the given size, so many of them at a time.

    Raises:
        LoadTestError: If a request is refused or fails.
    """
    bodies = [
        json.dumps({"inputs": chunk, "tasks": list(tasks)}).encode()
        for chunk in _chunks(texts, texts_per_request)
    ]
    waiting = iter(bodies)
    answers: dict[bytes, bytes] = {}

    def send_all() -> None:
        connection = server.connect()
        try:
            # A generator may be shared between threads only under a lock; a list's iterator needs none.
            for body in waiting:
                answers[body] = post(connection, body)
        finally:
            connection.close()

    with ThreadPoolExecutor(in_flight, thread_name_prefix="bulk") as clients:
        started_s = time.perf_counter()
        for client in [clients.submit(send_all) for _ in range(in_flight)]:
            client.result()
        seconds = time.perf_counter() - started_s
    parsed = [json.loads(answers[body]) for body in bodies]
    return BulkRun(
        seconds=seconds,
        answers=[answer for each in parsed for answer in each["predictions"]],
        found=sum(each["usage"]["cache_hits"] + each["usage"]["coalesced"] for each in parsed),
    )


def post(connection: http.client.HTTPConnection, body: bytes) -> bytes:
    """One request to predict. Returns the answer's body.

    Raises:
        LoadTestError: If it is refused or fails.
    """
    connection.request("POST", PREDICT, body=body, headers=HEADERS)
    response = connection.getresponse()
    answer = response.read()
    if response.status != http.HTTPStatus.OK:
        raise LoadTestError(f"{PREDICT} answered {response.status}: {answer.decode()[:500]}")
    return answer


def _chunks(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))
