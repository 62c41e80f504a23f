"""What the routes answer, decoded."""

import base64
import json
import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from encodeonce_client.answers import Answer, decode, decode_answer
from encodeonce_client.errors import EncodeOnceError, Problem, error_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a request cost."""

    tokens: int
    encoder_rows: int
    """Sequences that the encoder computed for it."""
    cache_hits: int
    coalesced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Answers of several tasks."""

    model: str
    version: str
    predictions: tuple[Mapping[str, Answer], ...]
    """One for each input, by task."""
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPredictions:
    """Answers of one task."""

    model: str
    version: str
    predictions: tuple[Answer, ...]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResult:
    """What became of one input of a stream."""

    prediction: Mapping[str, Answer] | None = None
    """By task."""
    version: str | None = None
    problem: Problem | None = None
    """In place of the prediction."""

    def unwrap(self) -> Mapping[str, Answer]:
        """The prediction.

        Raises:
            ProblemError: If there is a problem in its place.
        """
        if self.problem is not None:
            raise error_of(self.problem)
        assert self.prediction is not None, "a line has one or the other"  # noqa: S101
        return self.prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors of unit length."""

    model: str
    vectors: tuple["array[float]", ...]
    """float32. ``numpy.frombuffer(vector, numpy.float32)`` reads one without a copy."""
    are_truncated: tuple[bool, ...]
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """What a task takes and answers."""

    name: str
    kind: str
    inputs: tuple[tuple[str, ...], ...]
    """Every set of fields that makes an input."""
    labels: tuple[str, ...] | None = None
    metrics: Mapping[str, float]
    model: str
    version: str


def decode_predictions(response: httpx.Response) -> Predictions:
    """Of ``POST /v1/predict``."""
    body = response.json()
    return Predictions(
        model=body["model"],
        version=body["version"],
        predictions=tuple(_by_task(each) for each in body["predictions"]),
        usage=decode(Usage, body["usage"]),
    )


def decode_task_predictions(response: httpx.Response) -> TaskPredictions:
    """Of ``POST /v1/tasks/{task}/predict``."""
    body = response.json()
    return TaskPredictions(
        model=body["model"],
        version=body["version"],
        predictions=tuple(decode_answer(each) for each in body["predictions"]),
        usage=decode(Usage, body["usage"]),
    )


def decode_lines(response: httpx.Response, *, expected: int) -> tuple[LineResult, ...]:
    """Of a stream.

    Raises:
        EncodeOnceError: If it was cut off.
    """
    *lines, last = [json.loads(line) for line in response.content.splitlines()] or [{}]
    if "summary" not in last or len(lines) != expected:
        raise EncodeOnceError(f"The stream was cut off after {len(lines)} of {expected} lines.")
    return tuple(_decode_line(line) for line in lines)


def decode_embeddings(response: httpx.Response) -> Embeddings:
    """Of ``POST /v1/embeddings`` in base64."""
    body = response.json()
    return Embeddings(
        model=body["model"],
        vectors=tuple(_vector(each["embedding"]) for each in body["data"]),
        are_truncated=tuple(each.get("truncated", False) for each in body["data"]),
        tokens=body["usage"]["total_tokens"],
    )


def decode_tasks(response: httpx.Response) -> dict[str, TaskInfo]:
    """Of ``GET /v1/tasks``."""
    return dict(_tasks(response.json()["tasks"]))


def _tasks(raw: list[dict[str, Any]]) -> Iterator[tuple[str, TaskInfo]]:
    for each in raw:
        yield each["name"], decode(TaskInfo, each | {"inputs": [tuple(form) for form in each["inputs"]]})


def _by_task(raw: Mapping[str, Any]) -> dict[str, Answer]:
    return {task: decode_answer(each) for task, each in raw.items()}


def _decode_line(line: Mapping[str, Any]) -> LineResult:
    if "problem" in line:
        return LineResult(problem=Problem.of(line["problem"], status=500))
    return LineResult(prediction=_by_task(line["prediction"]), version=line["version"])


def _vector(packed: str) -> "array[float]":
    vector = array("f", base64.b64decode(packed))
    if sys.byteorder == "big":
        vector.byteswap()  # the wire is little-endian
    return vector
