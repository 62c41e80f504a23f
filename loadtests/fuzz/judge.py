"""Is an answer one that the service may give?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.fuzz.case import Case

PROBLEM = "application/problem+json"
OF_ANY_PATH = frozenset({"200", "400", "401", "403", "404", "405", "413", "415", "422"})
"""Where it is not certain which route, if any, was reached."""
ALWAYS_ALLOWED = frozenset({"401", "403", "429"})
"""Of a service with keys and a bounded queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back."""

    status: int
    content_type: str
    body: bytes


def fault_of(case: Case, reply: Reply | None, document: Mapping[str, Any]) -> str | None:
    """What is wrong with an answer; None if nothing is.

    Args:
        case: What was sent.
        reply: None, if the connection was closed without an answer.
        document: ``/openapi.json``.
    """
    if reply is None:
        return None if not case.is_framed else "closed without an answer"
    if reply.status >= 500 and reply.status not in (503, 504):
        return f"{reply.status}: a fault of the server"
    if not case.is_framed:
        return None  # the server's HTTP parser answers some of these, in plain text
    if reply.status >= 400:
        return _fault_of_problem(case, reply) or _undocumented(case, reply, document)
    return _undocumented(case, reply, document) or _fault_of_success(reply)


def _undocumented(case: Case, reply: Reply, document: Mapping[str, Any]) -> str | None:
    if case.route is None:
        allowed = OF_ANY_PATH
    else:
        allowed = frozenset(document["paths"][case.route][case.method.lower()]["responses"]) | ALWAYS_ALLOWED
    if str(reply.status) in allowed:
        return None
    return f"{reply.status} is not documented for {case.method} {case.route}"


def _fault_of_problem(case: Case, reply: Reply) -> str | None:
    if case.method == "HEAD":
        return None
    if reply.content_type != PROBLEM:
        return f"{reply.status} as {reply.content_type!r}"
    problem = json.loads(reply.body)
    if problem["status"] != reply.status or not problem["detail"] or "Traceback" in problem["detail"]:
        return f"a problem that says {problem}"
    return None


def _fault_of_success(reply: Reply) -> str | None:
    try:
        if reply.content_type == "application/json":
            json.loads(reply.body, parse_constant=_refuse)
        elif reply.content_type == "application/x-ndjson":
            *_, last = [json.loads(line, parse_constant=_refuse) for line in reply.body.splitlines()]
            if "summary" not in last:
                return "a stream without its summary"
    except ValueError as error:
        return f"{reply.status} with a body that is not what it says: {error}"
    return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
