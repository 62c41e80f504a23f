"""One call with its retries, as steps for somebody else to take. No I/O, no clock.

steps = exchange(call, …)
Send(…)  ─▶ a response, or why there is none
Pause(…) ─▶ nothing
returns the decoded answer, or raises
"""

from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias, TypedDict, TypeVar

import httpx

from encodeonce_client.calls import Call
from encodeonce_client.errors import ConnectionFailed, EncodeOnceError, Problem, error_of
from encodeonce_client.retries import BROKEN, RETRIED, Retries, parse_retry_after

T = TypeVar("T")

Outcome: TypeAlias = httpx.Response | httpx.RequestError | None


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request, and give back what came of it."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


Steps: TypeAlias = Generator[Send | Pause, Outcome, T]


def exchange(call: Call[T], retries: Retries) -> Steps[T]:
    """The steps of a call.

    Raises:
        ProblemError: If the service refuses.
        ConnectionFailed: If it is not reached.
    """
    for attempt in count(1):
        outcome = yield Send()
        if isinstance(outcome, httpx.Response):
            if outcome.is_success:
                return _decode(call, outcome)
            if outcome.status_code not in RETRIED:
                raise _refusal(outcome)
            pause_s = retries.pause_s(
                attempt, retry_after_s=parse_retry_after(outcome.headers.get("retry-after"))
            )
            if pause_s is None:
                raise _refusal(outcome)
        else:
            pause_s = retries.pause_s(attempt) if isinstance(outcome, BROKEN) else None
            if pause_s is None:
                raise ConnectionFailed(
                    f"{call.method} {call.path} failed {attempt} times: {outcome!r}"
                ) from outcome
        yield Pause(pause_s)
    raise AssertionError("count() does not end")


def _decode(call: Call[T], response: httpx.Response) -> T:
    try:
        return call.decode(response)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EncodeOnceError(
            f"{call.method} {call.path} was answered by something else: {error!r}"
        ) from error


def _refusal(response: httpx.Response) -> Exception:
    return error_of(Problem.parse(response.content, status=response.status_code))


GRACE_S = 5.0
"""Beyond the deadline, which the service keeps itself: its answer has to arrive."""


class HttpSettings(TypedDict):
    """What httpx is told once."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout


def http_settings(
    base_url: str, *, api_key: str | None, model: str | None, version: str | None, timeout_s: float
) -> HttpSettings:
    """What every request of a client has in common."""
    given = {
        "authorization": api_key and f"Bearer {api_key}",
        "x-model-name": model,
        "x-model-version": version,
        "x-request-timeout-ms": f"{1e3 * timeout_s:.0f}",
    }
    return HttpSettings(
        base_url=base_url,
        headers={name: value for name, value in given.items() if value},
        timeout=httpx.Timeout(timeout_s + GRACE_S, connect=min(timeout_s, 10.0)),
    )


def request_of(http: httpx.Client | httpx.AsyncClient, call: Call[T]) -> httpx.Request:
    """The request of a call."""
    return http.build_request(
        call.method,
        call.path,
        params=call.params or None,
        content=call.content,
        headers={} if call.content is None else {"content-type": call.content_type},
    )
