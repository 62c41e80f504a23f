"""Send the cases, each on its own connection, and judge what comes back."""

import http.client
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from loadtests.fuzz.case import Case
from loadtests.fuzz.judge import Reply, fault_of
from loadtests.fuzz.mutations import mutate
from loadtests.fuzz.seeds import seeds_of

TIMEOUT_S = 60.0
"""Longer than any deadline of the service: silence beyond it is a fault."""
AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    statuses: Counter[int | None]
    """None: the connection was closed."""
    faults: list[str]


def fuzz(port: int, *, cases: int, seed: int, advance: Callable[[], None] = lambda: None) -> Outcome:
    """Break requests and see what the service on this port of the loopback makes of them.

    Args:
        port: Where it listens.
        cases: How many.
        seed: The same one breaks the same requests in the same way.
        advance: Told after each.
    """
    document = _get(port, "/openapi.json")
    tasks = sorted(each["name"] for each in _get(port, "/v1/tasks")["tasks"])[:3]
    control = {"inputs": ["a control", {"text": "a", "text_pair": "control"}]}
    expected = _post(port, "/v1/predict", control)["predictions"]
    seeds = [case for case in seeds_of(document, tasks) if not case.target.startswith("/admin")]
    draw = random.Random(seed)
    broken = [mutate(draw.choice(seeds), draw) for _ in range(cases)]

    def judge(case: Case) -> tuple[int | None, str | None]:
        try:
            reply = exchange(port, case)
        except TimeoutError:
            return None, _describe(case, f"no answer within {TIMEOUT_S} s")
        except (http.client.HTTPException, ValueError) as error:
            return None, None if not case.is_framed else _describe(case, f"not HTTP: {error!r}")
        finally:
            advance()
        fault = fault_of(case, reply, document)
        return None if reply is None else reply.status, fault and _describe(case, fault)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        judged: Sequence[tuple[int | None, str | None]] = list(pool.map(judge, broken))
    faults = [fault for _, fault in judged if fault]
    if _post(port, "/v1/predict", control)["predictions"] != expected:
        faults.append("The service answers otherwise than before.")
    return Outcome(statuses=Counter(status for status, _ in judged), faults=faults)


def exchange(port: int, case: Case) -> Reply | None:
    """Send a request; None if the connection is closed without an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        try:
            connection.sendall(case.to_bytes())
            if not case.is_framed:
                connection.shutdown(socket.SHUT_WR)  # no more will come
        except OSError:
            pass  # refused before it was read to its end; the answer may still be there
        response = http.client.HTTPResponse(connection, method=case.method)
        try:
            response.begin()
            body = response.read()
        except (ConnectionError, http.client.BadStatusLine):
            return None
        content_type = response.headers.get_content_type() if "content-type" in response.headers else ""
        return Reply(status=response.status, content_type=content_type, body=body)


def _describe(case: Case, fault: str) -> str:
    return f"{fault} [{case.kind}] {case.to_bytes()[:600]!r}"


def _get(port: int, path: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(_exchange_well(port, Case(kind="", method="GET", target=path, route=None)))


def _post(port: int, path: str, body: Any) -> Any:  # noqa: ANN401 - JSON
    content = json.dumps(body).encode()
    headers = (("Content-Type", "application/json"),)
    return json.loads(
        _exchange_well(
            port, Case(kind="", method="POST", target=path, route=None, headers=headers, body=content)
        )
    )


def _exchange_well(port: int, case: Case) -> bytes:
    reply = exchange(port, case)
    if reply is None or reply.status != http.client.OK:
        raise ConnectionError(f"{case.method} {case.target}: {reply}")
    return reply.body
