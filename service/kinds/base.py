"""The two halves of a kind: what it reads, and how it answers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from export.manifest import TaskEntry
from service.inputs import TaskInput
from service.kinds.answers import Answer
from service.tokenization import TextSequence, TokenizedInput

InputT = TypeVar("InputT")
T = TypeVar("T")


MAX_TOP_K = 1024
"""Of a request. There may be fewer labels, documents or spans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """What a request may ask of its answers. A kind heeds those that mean something to it."""

    top_k: int | None = None
    """The best so many labels, documents or answer spans alone."""
    return_scores: bool = True
    """Whether the score of everything that was not chosen is told, too."""
    return_logits: bool = False

    @property
    def tells_all_scores(self) -> bool:
        """Whether no score is left out."""
        return self.return_scores and self.top_k is None


class Reader(ABC, Generic[InputT]):
    """Which inputs a task takes, and what it reads of them from the encoder.

    Compared by value: a request's tasks with equal readers share the work of planning.
    """

    takes: ClassVar[tuple[type, ...]]
    """Forms of input, of ``service.inputs``."""
    reads_pairs: ClassVar[bool] = False
    """Whether its sequences are pairs, which the encoder sees as one, or single texts."""
    needs_offsets: ClassVar[bool] = False
    """Whether the decoder asks where in the text a token lies."""

    @abstractmethod
    def sequences(self, each: InputT) -> tuple[TextSequence, ...]:
        """The sequences of an input of one of the forms that it takes; at least one."""

    def head_rows(self, read: Sequence[tuple[T, ...]]) -> list[tuple[T, ...]]:
        """What the head is run on: by default every window of every sequence by itself.

        Args:
            read: For each of an input's sequences what its windows became; nearly always one.

        Returns:
            For each row of the head one element, or two for a bi-encoded pair.
        """
        return [(window,) for windows in read for window in windows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What a task has to answer from."""

    inputs: Sequence[TaskInput]
    tokens: Sequence[Sequence[TokenizedInput]]
    """For each input every window of every sequence that was read of it."""
    logits: NDArray[np.float32]
    """Shape ``(num_rows, num_outputs)``, inputs in order: a row for each head row; of a token-level head, for
    each token of each window."""
    num_rows: Sequence[int]
    """How many rows of the logits belong to each input."""

    def by_input(self) -> Iterator["Reading"]:
        """Each input with its own tokens and logits."""
        start = 0
        for each, tokens, count in zip(self.inputs, self.tokens, self.num_rows, strict=True):
            yield Reading(input=each, tokens=tokens, logits=self.logits[start : start + count])
            start += count


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a task has to answer one input from."""

    input: Any
    tokens: Sequence[TokenizedInput]
    """Every window of every sequence that was read of it."""
    logits: NDArray[np.float32]
    """The input's rows of ``Readings.logits``: shape ``(num_rows, num_outputs)``."""


class Decoder(ABC):
    """Logits → answers of one task."""

    options: ClassVar[tuple[str, ...]]
    """Names of the ``AnswerOptions`` that change its answers."""

    @abstractmethod
    def answers(self, readings: Readings, options: AnswerOptions) -> Sequence[Answer]:
        """One answer for each input."""


class InputDecoder(Decoder):
    """A decoder for which an input's answer takes several rows of logits."""

    def answers(self, readings: Readings, options: AnswerOptions) -> Sequence[Answer]:
        """One answer for each input, one after the other."""
        return [self.answer(reading, options) for reading in readings.by_input()]

    @abstractmethod
    def answer(self, reading: Reading, options: AnswerOptions) -> Answer:
        """The answer for one input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One task of the bundle, as it is served."""

    entry: TaskEntry
    reader: Reader[Any]
    decoder: Decoder

    @property
    def reads_states(self) -> bool:
        """Whether its head reads token states."""
        return not self.entry.reads_pooled
