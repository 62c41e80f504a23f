"""A task's examples: checked rows, and the same tokenised."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.tokenization import TokenSequence

Indices = Sequence[int] | NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One checked example.

    Attributes:
        input: As the HTTP API takes it: ``{"text": …}``, ``{"query": …, "documents": […]}``.
        target: What is to be answered; its form is the kind's own.
        row: Of its source, counted from 1; the first one if it is made of several.
    """

    input: dict[str, Any]
    target: Any
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Checked examples of one task.

    Attributes:
        origin: The file or hub split, for messages.
        items: In the order of the source.
    """

    origin: str
    items: tuple[Example, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.items)

    def take(self, indices: Indices) -> "Examples":
        """The examples at ``indices``, in that order."""
        return Examples(origin=self.origin, items=tuple(self.items[int(index)] for index in indices))

    def thinned(self, count: int | None) -> "Examples":
        """At most ``count`` examples, evenly spaced; all if None."""
        return self if count is None else self.take(evenly(len(self), count))


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedExamples:
    """Tokenised examples of one task.

    A *row of logits* is what a sequence-level head answers once. It reads one sequence, or the two of a
    bi-encoded pair; an example has one or several.

    Attributes:
        sequences: Encoder inputs of each example: at least one.
        targets: What the loss compares an example's logits with. The first axis counts the rows of logits, or
            of a token-level kind the tokens, or is 1 where the example is answered as a whole; int64 or
            float32.
        references: What the metrics compare an example's logits with; the form is the kind's own.
        bi_encoded: Whether an example's first sequence meets each of the others in a row of logits of their
            own, instead of each sequence standing alone.
    """

    sequences: list[tuple[TokenSequence, ...]]
    targets: list[NDArray[Any]]
    references: list[Any]
    bi_encoded: bool = False

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example's longest sequence. Shape ``(num_examples,)``."""
        return np.array([max(len(s.input_ids) for s in example) for example in self.sequences])

    def rows_of(self, index: int) -> NDArray[np.int64]:
        """Which of an example's sequences each of its rows of logits reads. Shape ``(num_rows, 1 or 2)``."""
        numbers = np.arange(len(self.sequences[index]))
        if self.bi_encoded:
            return np.stack([np.zeros_like(numbers[1:]), numbers[1:]], axis=1)
        return numbers[:, None]

    def take(self, indices: Indices) -> "EncodedExamples":
        """The examples at ``indices``, in that order."""
        chosen = [int(index) for index in indices]
        return EncodedExamples(
            sequences=[self.sequences[index] for index in chosen],
            targets=[self.targets[index] for index in chosen],
            references=[self.references[index] for index in chosen],
            bi_encoded=self.bi_encoded,
        )


def evenly(size: int, count: int) -> NDArray[np.int64]:
    """At most ``count`` different numbers below ``size``, evenly spaced from the first to the last."""
    return np.unique(np.linspace(0, size - 1, min(size, count)).round().astype(np.int64))


def split_for_selection(
    examples: Examples, *, fraction: float, max_rows: int, seed: int
) -> tuple[Examples, Examples]:
    """Set examples aside for choosing the best checkpoint.

    Args:
        examples: At least two.
        fraction: Of the examples, to set aside.
        max_rows: At most so many.
        seed: Of the whole run.

    Returns:
        The examples to train on, and those set aside; at least one each.
    """
    size = max(1, min(round(len(examples) * fraction), max_rows, len(examples) - 1))
    order = np.random.default_rng(seed).permutation(len(examples))
    return examples.take(np.sort(order[size:])), examples.take(np.sort(order[:size]))
