"""What can go wrong.

EncodeOnceError
├── ConnectionFailed         the service was not reached or went away, after all retries, or was silent
└── ProblemError             the service refused: carries its problem document
    ├── InvalidRequest       400, 413, 415, 422, and every other 4xx
    │   └── UnknownName      404: a task, model or route
    ├── Unauthorised         401
    ├── Forbidden            403
    ├── Overloaded           429, after all retries
    ├── NotReady             503, after all retries
    ├── DeadlineExceeded     504
    └── ServerFault          every other 5xx
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One fault of a request."""

    field: str
    """Path in the body, such as ``inputs.3.text``."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An ``application/problem+json`` document (RFC 9457)."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"
    errors: tuple[FieldFault, ...] = ()
    request_id: str | None = None
    """Also in the server's log."""

    @classmethod
    def of(cls, raw: Mapping[str, Any], *, status: int) -> "Problem":
        """From a document; what it lacks gets a stand-in."""
        return cls(
            status=raw.get("status", status),
            title=raw.get("title", "Error"),
            detail=raw.get("detail", ""),
            type=raw.get("type", "about:blank"),
            errors=tuple(FieldFault(each["field"], each["message"]) for each in raw.get("errors", ())),
            request_id=raw.get("request_id"),
        )

    @classmethod
    def parse(cls, body: bytes, *, status: int) -> "Problem":
        """From a response's body; a proxy's page becomes a problem, too."""
        try:
            return cls.of(json.loads(body), status=status)
        except (ValueError, KeyError, TypeError, AttributeError):  # no JSON, or another's
            return cls(status=status, title="Error", detail=body[:200].decode(errors="replace"))


class EncodeOnceError(Exception):
    """Whatever keeps a call from its answer."""


class ConnectionFailed(EncodeOnceError):  # noqa: N818 - the tree reads as states
    """The service was not reached, or went away before it had answered."""


class ProblemError(EncodeOnceError):
    """The service refused."""

    def __init__(self, problem: Problem) -> None:
        faults = "".join(f"\n  {fault.field}: {fault.message}" for fault in problem.errors)
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}{faults}")
        self.problem = problem


class InvalidRequest(ProblemError):  # noqa: N818
    """The request must change before it can succeed."""


class UnknownName(InvalidRequest):
    """A task, model or route that is not there."""


class Unauthorised(ProblemError):  # noqa: N818
    """The key is missing or wrong."""


class Forbidden(ProblemError):  # noqa: N818
    """The key does not open this."""


class Overloaded(ProblemError):  # noqa: N818
    """The queue was full, or the key's rate used up, at every attempt."""


class NotReady(ProblemError):  # noqa: N818
    """The service was starting or draining at every attempt."""


class DeadlineExceeded(ProblemError):  # noqa: N818
    """The time was over."""


class ServerFault(ProblemError):  # noqa: N818
    """The service failed."""


BY_STATUS: Mapping[int, type[ProblemError]] = {
    401: Unauthorised,
    403: Forbidden,
    404: UnknownName,
    429: Overloaded,
    503: NotReady,
    504: DeadlineExceeded,
}


def error_of(problem: Problem) -> ProblemError:
    """The error that a problem is raised as."""
    fallback = ServerFault if problem.status >= 500 else InvalidRequest
    return BY_STATUS.get(problem.status, fallback)(problem)
