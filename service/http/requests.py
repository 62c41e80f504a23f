"""Read a request: its body within limits, its deadline, and whether its client is still there."""

import asyncio
import math
import time
from collections.abc import Awaitable, Iterator, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from service.deadline import TimeLimit
from service.errors import (
    MAX_COUNTED,
    ClientGone,
    FieldError,
    InvalidRequest,
    MalformedBody,
    RequestTooLarge,
    UnsupportedMediaType,
)
from service.http.context import context_of
from service.inputs import TaskInput, explain_misfit
from service.priorities import Priority
from service.schemas import FORM_TAGS, TaskPredictRequest
from service.settings import Settings

JSON = "application/json"
TIMEOUT_HEADER = "x-request-timeout-ms"
PRIORITY_HEADER = "x-priority"

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


async def read_json(
    request: Request, model: type[M], settings: Settings, *, max_bytes: int | None = None
) -> M:
    """Read and validate the body.

    Args:
        request: Its body was not read.
        model: What the body must be.
        settings: For the limits.
        max_bytes: Of the body; by default, as the settings say.

    Raises:
        UnsupportedMediaType: If it calls itself something else than JSON.
        RequestTooLarge: As soon as it is known to be, without reading on.
        MalformedBody: If it is not JSON.
        RequestTooLarge: If it has too many inputs, whatever they are.
        InvalidRequest: If it does not match the model. Faults are named.
        DeadlineExceeded: If it does not end in time.
        ClientGone: If the client leaves before its end.
    """
    check_media_type(request)
    body = await read_body(request, settings, max_bytes=max_bytes)
    return parse_body(body, model, max_inputs=settings.max_inputs)


def media_type(request: Request) -> str:
    """What the body calls itself; JSON, if it does not say."""
    return request.headers.get("content-type", JSON).split(";")[0].strip().lower()


def check_media_type(request: Request, *, others: Sequence[str] = ()) -> None:
    """Take JSON, or one of the others.

    Raises:
        UnsupportedMediaType: If the body calls itself something else.
    """
    found = media_type(request)
    if found != JSON and not found.endswith("+json") and found not in others:
        expected = " or ".join([JSON, *others])
        raise UnsupportedMediaType(f"Expected content-type {expected}, found {found[:80]!r}.")


def parse_body(body: bytes, model: type[M], *, max_inputs: int) -> M:
    """Validate a body.

    Raises:
        MalformedBody: If it is not JSON.
        RequestTooLarge: If it has more inputs, whatever they are.
        InvalidRequest: If it does not match the model. Faults are named.
    """
    try:
        return model.model_validate_json(body, context=max_inputs)
    except ValidationError as error:
        raise explain(error) from None


def parse_inputs(values: list[Any], *, max_inputs: int) -> list[TaskInput]:
    """Inputs, as a request has them.

    Raises:
        RequestTooLarge: If they are more, or have more documents or choices.
        InvalidRequest: If some have none of the forms. Faults are named.
    """
    try:
        return TaskPredictRequest.model_validate({"inputs": values}, context=max_inputs).inputs
    except ValidationError as error:
        raise explain(error) from None


def timeout_s(request: Request, settings: Settings) -> float:
    """Seconds that this request may still take, of its header's, within bounds, or of the default.

    Raises:
        InvalidRequest: If the header is not a positive number.
    """
    given = request.headers.get(TIMEOUT_HEADER)
    if given is None:
        return left_s(request, settings.timeout_s)
    try:
        seconds = float(given) / 1e3
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        fault = FieldError(TIMEOUT_HEADER, "Expected milliseconds, a number above 0.")
        raise InvalidRequest("The timeout header is invalid.", errors=[fault])
    return left_s(request, min(seconds, settings.max_timeout_s))


def left_s(request: Request, allowed_s: float) -> float:
    """Seconds that are left of those that a request may take in all. Below 0 when it is late."""
    return allowed_s - (time.perf_counter() - context_of(request).started_s)


def priority(request: Request) -> Priority | None:
    """What the request says of its priority, if anything.

    Raises:
        InvalidRequest: If that is no priority.
    """
    return one_of(Priority, request, PRIORITY_HEADER)


def one_of(words: type[E], request: Request, name: str) -> E | None:
    """A header that may say one of a few words.

    Raises:
        InvalidRequest: If it says something else.
    """
    given = request.headers.get(name)
    if given is None:
        return None
    try:
        return words(given.strip().lower())
    except ValueError:
        fault = FieldError(name, f"Expected {' or '.join(words)}, found {given!r}.")
        raise InvalidRequest(f"The {name} header is invalid.", errors=[fault]) from None


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """Do the work, unless the client closes the connection before it is done.

    Work that nobody waits for leaves the queue: its cancellation reaches the encoder's queue entry.

    Raises:
        ClientGone: If the client left.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    is_over = False

    def leave(_watch: asyncio.Future[None]) -> None:
        if not is_over:
            task.cancel()

    # The work stays in the request's own task: an answer from the cache is there before the watch has even
    # begun.
    watch = asyncio.ensure_future(_disconnected(request))
    watch.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.done():
            raise
        task.uncancel()
        raise ClientGone("The client closed the connection.") from None
    finally:
        is_over = True
        watch.cancel()


async def _disconnected(request: Request) -> None:
    # The body has been read: the next message can only be the disconnect.
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def read_body(request: Request, settings: Settings, *, max_bytes: int | None = None) -> bytes:
    """The whole body, within the request's time.

    Args:
        request: Its body was not read.
        settings: For the limits.
        max_bytes: By default, as the settings say.

    Raises:
        UnsupportedMediaType: If it is compressed.
        RequestTooLarge: As soon as it is known to be, without reading on.
        DeadlineExceeded: If it does not end in time.
        ClientGone: If the client leaves before its end.
    """
    refuse_compression(request)
    async with TimeLimit(timeout_s(request, settings), until="the body had come in whole"):
        return await _receive(request, max_bytes or settings.max_body_bytes)


async def _receive(request: Request, max_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    num_bytes = 0
    try:
        async for chunk in request.stream():
            num_bytes += len(chunk)
            if num_bytes > max_bytes:
                raise _too_large(max_bytes)
            chunks.append(chunk)
    except ClientDisconnect:
        raise ClientGone("The client closed the connection within the body.") from None
    return b"".join(chunks)


def refuse_compression(request: Request) -> None:
    """Bodies are read as they come: a small one that unpacks to gigabytes cannot exist.

    Raises:
        UnsupportedMediaType: If the body is compressed.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaType(f"Expected a body without content-encoding, found {encoding[:40]!r}.")


def _too_large(max_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(f"The body has more than {max_bytes} bytes. Split the request.")


def explain(error: ValidationError, *, part: str = "body") -> InvalidRequest:
    """What pydantic has against a part of a request, in the API's words."""
    if (count := error.error_count()) > MAX_COUNTED:  # pydantic describes all or none
        return InvalidRequest(f"The {part} has {count} faults, too many to tell any.")
    faults: list[Any] = error.errors(include_url=False, include_context=False)
    if faults[0]["type"] == "json_invalid":
        return MalformedBody(
            f"The body is not valid JSON: {faults[0]['msg'].removeprefix('Invalid JSON: ')}."
        )
    errors = [each for fault in faults for each in _field_errors(fault)]
    return InvalidRequest(
        f"The {part} has {len(errors)} fault{'s' if len(errors) > 1 else ''}.", errors=errors
    )


def _field_errors(fault: dict[str, Any]) -> Iterator[FieldError]:
    """What pydantic says of a place, in the API's words."""
    place = list(fault["loc"])
    if place[:1] == ["inputs"] and place[2:3] and place[2] in FORM_TAGS:
        del place[2]  # which is not a part of the body
    path = ".".join(map(str, place))
    if fault["type"] != "union_tag_not_found":
        yield FieldError(path or "body", fault["msg"].removeprefix("Value error, "))
        return
    for field, message in explain_misfit(fault["input"]):
        yield FieldError(f"{path}.{field}" if field else path, message)
