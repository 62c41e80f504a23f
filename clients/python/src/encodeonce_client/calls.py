"""Every call that the service takes: what is sent, and how the answer is read. No I/O."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeAlias, TypedDict, TypeVar
from urllib.parse import quote

import httpx

from encodeonce_client.responses import (
    Embeddings,
    LineResult,
    Predictions,
    TaskInfo,
    TaskPredictions,
    decode_embeddings,
    decode_lines,
    decode_predictions,
    decode_task_predictions,
    decode_tasks,
)

T = TypeVar("T")

Input: TypeAlias = str | Mapping[str, Any]
"""A text, or the fields of an input: ``{"text": …, "text_pair": …}``, and so on."""

MAX_CHUNK_BYTES = 1 << 20
"""Of one request of a stream; far below what the service takes by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    decode: Callable[[httpx.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str = "application/json"


class Options(TypedDict, total=False):
    """What a request may ask of its answers."""

    top_k: int
    return_scores: bool
    return_logits: bool


def predict(inputs: Sequence[Input], tasks: Sequence[str] | None, options: Options) -> Call[Predictions]:
    """Tasks on inputs."""
    body: dict[str, Any] = {"inputs": list(inputs), **options}
    if tasks is not None:
        body["tasks"] = list(tasks)
    return Call(method="POST", path="/v1/predict", content=_json(body), decode=decode_predictions)


def predict_task(task: str, inputs: Sequence[Input], options: Options) -> Call[TaskPredictions]:
    """One task on inputs."""
    return Call(
        method="POST",
        path=f"/v1/tasks/{quote(task, safe='')}/predict",
        content=_json({"inputs": list(inputs), **options}),
        decode=decode_task_predictions,
    )


def stream(
    lines: Sequence[bytes], tasks: Sequence[str] | None, options: Options
) -> Call[tuple[LineResult, ...]]:
    """Tasks on a part of a stream."""
    params = {name: json.dumps(value) for name, value in options.items()}
    if tasks is not None:
        params["tasks"] = ",".join(tasks)
    return Call(
        method="POST",
        path="/v1/predict",
        params=params,
        content=b"\n".join(lines),
        content_type="application/x-ndjson",
        decode=partial(decode_lines, expected=len(lines)),
    )


def embed(texts: Sequence[str]) -> Call[Embeddings]:
    """Vectors of texts."""
    body = {"input": list(texts), "encoding_format": "base64"}
    return Call(method="POST", path="/v1/embeddings", content=_json(body), decode=decode_embeddings)


def tasks() -> Call[dict[str, TaskInfo]]:
    """The tasks there are."""
    return Call(method="GET", path="/v1/tasks", decode=decode_tasks)


def chunks(inputs: Iterable[Input], *, size: int) -> Iterator[list[Input]]:
    """Inputs in lists of this size; the last may be shorter."""
    chunk: list[Input] = []
    for each in inputs:
        chunk.append(each)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def line_chunks(inputs: Iterable[Input], *, size: int) -> Iterator[list[bytes]]:
    """Inputs as lines, in lists of this size and of a bounded number of bytes."""
    chunk: list[bytes] = []
    num_bytes = 0
    for each in inputs:
        line = _json(each)
        if chunk and (len(chunk) == size or num_bytes + len(line) > MAX_CHUNK_BYTES):
            yield chunk
            chunk, num_bytes = [], 0
        chunk.append(line)
        num_bytes += len(line)
    if chunk:
        yield chunk


def _json(body: Any) -> bytes:  # noqa: ANN401 - JSON
    # UTF-8 has no halves of surrogate pairs. Replaced, they are JSON's own escapes, which the service refuses
    # with their place; so one of them does not end a stream.
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")
