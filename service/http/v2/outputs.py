"""Answers → output tensors. Pure.

Each kind has a table of outputs; an output reads its element, or its row of elements, from an input's
answer. Every kind but tagging fits typed tensors wholly; entities come as JSON.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from export.manifest import TaskEntry, TaskKind
from service.http.v2.framing import pack_strings
from service.http.v2.schemas import Datatype, TensorMetadata

ANY = -1
"""A dimension that the request decides."""

DTYPES: dict[Datatype, str] = {"FP32": "<f4", "INT32": "<i4", "BOOL": "?"}

Row: TypeAlias = Any
"""What there is for one input: its answers by task, or its vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output tensor of a model."""

    name: str
    datatype: Datatype
    row_shape: tuple[int, ...] = ()
    """What one input adds to the tensor: ``()`` for a scalar, ``(num_labels,)`` for scores."""
    read: Callable[[Row], Any]

    @property
    def metadata(self) -> TensorMetadata:
        """Name, type and shape, with -1 for the batch."""
        return TensorMetadata(name=self.name, datatype=self.datatype, shape=[ANY, *self.row_shape])

    def tensor(self, rows: Sequence[Row]) -> "Tensor":
        """The output of shape ``(inputs, *row_shape)``, read from what there is for each input."""
        elements = [self.read(row) for row in rows]
        if self.datatype == "BYTES":
            return Tensor(output=self, shape=[len(elements)], strings=[each.encode() for each in elements])
        values = np.array(elements, dtype=DTYPES[self.datatype])
        return Tensor(output=self, shape=list(values.shape), values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An output's elements: ``strings`` where it is ``BYTES``, else ``values``."""

    output: Output
    shape: list[int]
    strings: Sequence[bytes] = ()
    values: NDArray[Any] | None = None

    def to_bytes(self) -> bytes:
        """Its bytes behind the JSON header: little-endian numbers, or strings each with its length."""
        return pack_strings(self.strings) if self.values is None else self.values.tobytes()

    def to_list(self) -> list[Any]:
        """Elements in row-major order, for JSON."""
        if self.values is None:
            return [each.decode() for each in self.strings]
        elements: list[Any] = self.values.ravel().tolist()
        return elements


def json_output(task: str, *, name: str) -> Output:
    """A task's whole answer, as the JSON API gives it."""
    return Output(name=name, datatype="BYTES", read=lambda row: to_json(row[task]).decode())


def task_outputs(task: str, entry: TaskEntry) -> tuple[Output, ...]:
    """The outputs of a task's model."""
    labels = entry.labels or ()

    def output(column: Column) -> Output:
        return Output(
            name=column.name,
            datatype=column.datatype,
            row_shape=tuple(len(labels) if size == LABELS else size for size in column.row_shape),
            read=lambda row: column.read(row[task], labels),
        )

    if entry.kind is TaskKind.TAGGING:
        return json_output(task, name="json"), output(TRUNCATED)
    return tuple(map(output, (*COLUMNS[entry.kind], TRUNCATED)))


LABELS = -2
"""A dimension that is the number of the task's labels."""


class Column(NamedTuple):
    """An output that all tasks of a kind have."""

    name: str
    datatype: Datatype
    row_shape: tuple[int, ...]
    read: Callable[[Any, Sequence[str]], Any]
    """From an answer and the task's labels."""


def _same(name: str, datatype: Datatype, *row_shape: int) -> Column:
    return Column(name, datatype, row_shape, lambda answer, _labels: answer[name])


def _by_label(answer: Any, labels: Sequence[str]) -> list[float]:  # noqa: ANN401 - of one of two kinds
    return [answer["scores"][label] for label in labels]


def _is_given(answer: Any, labels: Sequence[str]) -> list[bool]:  # noqa: ANN401
    return [label in answer["labels"] for label in labels]


def _by_document(answer: Any, _labels: Sequence[str]) -> list[float]:  # noqa: ANN401
    scores = {each["index"]: each["score"] for each in answer["ranking"]}
    return [scores[index] for index in range(len(scores))]


def _offset(name: str) -> Column:
    """-1 where there is no answer: tensors know no null."""
    return Column(name, "INT32", (), lambda answer, _labels: -1 if answer[name] is None else answer[name])


TRUNCATED = Column("truncated", "BOOL", (), lambda answer, _labels: answer.get("truncated", False))

_LABEL = (
    _same("label", "BYTES"),
    _same("score", "FP32"),
    Column("scores", "FP32", (LABELS,), _by_label),
    _same("logits", "FP32", LABELS),
)
_VALUE = (_same("value", "FP32"),)

COLUMNS: Mapping[TaskKind, tuple[Column, ...]] = {
    TaskKind.CLASSIFICATION: _LABEL,
    TaskKind.PAIR_CLASSIFICATION: _LABEL,
    TaskKind.MULTI_LABEL: (Column("is_given", "BOOL", (LABELS,), _is_given), *_LABEL[2:]),
    TaskKind.REGRESSION: _VALUE,
    TaskKind.PAIR_REGRESSION: _VALUE,
    TaskKind.RANKING: (Column("scores", "FP32", (ANY,), _by_document), _same("logits", "FP32", ANY)),
    TaskKind.MULTIPLE_CHOICE: (
        _same("choice", "BYTES"),
        _same("index", "INT32"),
        _same("score", "FP32"),
        _same("scores", "FP32", ANY),
        _same("logits", "FP32", ANY),
    ),
    TaskKind.QUESTION_ANSWERING: (
        _same("answer", "BYTES"),
        _offset("start"),
        _offset("end"),
        _same("score", "FP32"),
    ),
}
