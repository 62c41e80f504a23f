"""Retries, decoding and errors of the client, step by step and without I/O."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encodeonce_client import (
    ConnectionFailed,
    DeadlineExceeded,
    EncodeOnceError,
    Forbidden,
    InvalidRequest,
    NotReady,
    Overloaded,
    ProblemError,
    Retries,
    ServerFault,
    Unauthorised,
    UnknownName,
    calls,
)
from encodeonce_client.exchange import Outcome, Pause, Send, exchange

TASKS = {"tasks": []}
CALL = calls.tasks()


def response(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def run(outcomes: list[Outcome], retries: Retries) -> tuple[Any, list[float]]:
    """The result, or the error, and the pauses before it."""
    steps = exchange(CALL, retries)
    pauses: list[float] = []
    outcome: Outcome = None
    left = iter(outcomes)
    try:
        while True:
            step = steps.send(outcome)
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                outcome = None
            else:
                assert isinstance(step, Send)
                outcome = next(left)
    except StopIteration as end:
        return end.value, pauses
    except EncodeOnceError as error:
        return error, pauses


MIDDLE = Retries(attempts=4, base_s=1.0, max_pause_s=5.0, draw=lambda: 0.5)


def test_refusals_and_broken_connections_are_tried_again_with_growing_pauses() -> None:
    broken = httpx.ConnectError("nobody there")
    result, pauses = run([response(503), broken, response(429), response(200, TASKS)], MIDDLE)
    assert result == {}
    assert pauses == [0.5, 1.0, 2.0]


def test_retry_after_is_waited_for_and_the_jitter_comes_on_top() -> None:
    _, pauses = run([response(429, retry_after="3"), response(200, TASKS)], MIDDLE)
    assert pauses == [3.5]


def test_a_date_in_retry_after_is_left_aside() -> None:
    _, pauses = run(
        [response(503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), response(200, TASKS)], MIDDLE
    )
    assert pauses == [0.5]


def test_a_longer_pause_than_one_would_wait_ends_it() -> None:
    result, pauses = run([response(429, retry_after="6")], MIDDLE)
    assert isinstance(result, Overloaded)
    assert pauses == []


@pytest.mark.parametrize(
    ("outcome", "error"),
    [(response(429), Overloaded), (response(503), NotReady), (httpx.ReadError("gone"), ConnectionFailed)],
)
def test_the_last_attempt_raises(outcome: Any, error: type[EncodeOnceError]) -> None:
    result, pauses = run([outcome] * 4, MIDDLE)
    assert isinstance(result, error)
    assert len(pauses) == 3
    assert isinstance(run([outcome], Retries(attempts=1))[0], error)


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ReadTimeout(""), httpx.WriteTimeout(""), httpx.PoolTimeout(""),
        httpx.UnsupportedProtocol("Request URL is missing an 'http://' or 'https://' protocol."),
        httpx.DecodingError("Not a gzipped file"), httpx.TooManyRedirects(""),
    ],
)  # fmt: skip
def test_what_took_all_its_time_or_would_fail_again_is_not_tried_again(fault: httpx.RequestError) -> None:
    result, pauses = run([fault], MIDDLE)
    assert isinstance(result, ConnectionFailed)
    assert type(fault).__name__ in str(result)
    assert pauses == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequest), (401, Unauthorised), (403, Forbidden), (404, UnknownName),
        (413, InvalidRequest), (415, InvalidRequest), (422, InvalidRequest),
        (500, ServerFault), (502, ServerFault), (504, DeadlineExceeded),
    ],
)  # fmt: skip
def test_other_refusals_are_raised_at_once_with_every_fault(status: int, error: type[ProblemError]) -> None:
    problem = {
        "type": "urn:x", "title": "Title", "status": status, "detail": "Detail.", "request_id": "7",
        "errors": [{"field": "inputs.3", "message": "Wrong."}],
    }  # fmt: skip
    result, pauses = run([response(status, problem)], MIDDLE)
    assert type(result) is error
    assert pauses == []
    assert str(result) == f"{status} Title: Detail.\n  inputs.3: Wrong."
    assert (result.problem.request_id, result.problem.errors[0].field) == ("7", "inputs.3")


def test_a_proxys_page_becomes_an_error_too() -> None:
    result, _ = run([httpx.Response(502, content=b"<html>Bad gateway")], MIDDLE)
    assert isinstance(result, ServerFault)
    assert "<html>Bad gateway" in str(result)
    result, _ = run([response(403, {"errors": ["You shall not pass"]})], MIDDLE)
    assert isinstance(result, Forbidden)
    assert "You shall not pass" in str(result)
    for other in (httpx.Response(200, content=b"<html>Welcome"), response(200, {"tasks": [[]]})):
        result, _ = run([other], MIDDLE)
        assert isinstance(result, EncodeOnceError)
        assert "something else" in str(result)


@given(st.integers(1, 20), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 30))
def test_pauses_are_bounded_and_never_shorter_than_asked(
    attempt: int, drawn: float, retry_after_s: float | None
) -> None:
    pause_s = Retries(attempts=30, draw=lambda: drawn).pause_s(attempt, retry_after_s=retry_after_s)
    assert pause_s is not None
    assert (retry_after_s or 0.0) <= pause_s <= 60.0


@given(st.lists(st.text(max_size=30) | st.just("half \ud800"), max_size=50), st.integers(1, 9))
def test_chunks_keep_every_input_in_order(texts: list[str], size: int) -> None:
    chunks = list(calls.chunks(texts, size=size))
    assert [text for chunk in chunks for text in chunk] == texts
    assert all(len(chunk) == size for chunk in chunks[:-1])
    lines = list(calls.line_chunks(texts, size=size))
    assert [json.loads(line) for chunk in lines for line in chunk] == texts
    assert all(b"\n" not in line for chunk in lines for line in chunk)


def test_chunks_of_lines_are_bounded_in_bytes() -> None:
    texts = ["x" * (calls.MAX_CHUNK_BYTES // 3)] * 7
    assert [len(chunk) for chunk in calls.line_chunks(texts, size=100)] == [2, 2, 2, 1]
    assert [len(chunk) for chunk in calls.line_chunks(["x" * (2 * calls.MAX_CHUNK_BYTES)] * 2, size=9)] == [
        1,
        1,
    ]
