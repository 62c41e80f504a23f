"""Logits → answers, one function per kind."""

from collections.abc import Sequence
from typing import TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from export.manifest import TaskEntry


class LabelAnswer(TypedDict):
    """Answer of ``classification`` and ``pair_classification``."""

    label: str
    score: float
    scores: dict[str, float]


class ValueAnswer(TypedDict):
    """Answer of ``regression`` and ``pair_regression``."""

    value: float


Answer: TypeAlias = LabelAnswer | ValueAnswer


def decode(task: TaskEntry, logits: NDArray[np.float32]) -> Sequence[Answer]:
    """Decode a batch of one task.

    Args:
        task: Names the labels.
        logits: Shape ``(batch_size, num_outputs)``.
    """
    if task.labels is not None:
        return decode_labels(logits, task.labels)
    return decode_values(logits)


def decode_labels(logits: NDArray[np.float32], labels: tuple[str, ...]) -> list[LabelAnswer]:
    """The most probable label, and the probability of each. Ties go to the first label, as in training."""
    scores = softmax(logits)
    best = scores.argmax(axis=1)
    return [
        LabelAnswer(label=labels[index], score=row[index], scores=dict(zip(labels, row, strict=True)))
        for index, row in zip(best.tolist(), scores.tolist(), strict=True)
    ]


def decode_values(logits: NDArray[np.float32]) -> list[ValueAnswer]:
    """The value as the graph gives it; a scaled sigmoid is inside."""
    return [ValueAnswer(value=value) for value in logits[:, 0].astype(np.float64).tolist()]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax over the last axis, in double precision and without overflow."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    result: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result
