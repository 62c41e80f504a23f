"""Readers of texts and pairs of texts, for the kinds that answer from one row of logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from service.inputs import PairInput
from service.kinds.base import Reader
from service.tokenization import TextPair, TextSequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SingleText(Reader[str]):
    """A text by itself."""

    takes: ClassVar[tuple[type, ...]] = (str,)

    def sequences(self, each: str) -> tuple[TextSequence, ...]:
        """The text."""
        return (each,)


@dataclass(frozen=True, slots=True)
class CrossEncodedPair(Reader[PairInput]):
    """Both texts as one sequence."""

    takes: ClassVar[tuple[type, ...]] = (PairInput,)
    reads_pairs: ClassVar[bool] = True

    def sequences(self, each: PairInput) -> tuple[TextSequence, ...]:
        """The pair, as a single sequence."""
        return (TextPair(each.text, each.text_pair),)


@dataclass(frozen=True, slots=True)
class BiEncodedPair(Reader[PairInput]):
    """Each text by itself, as every task on single texts reads it."""

    takes: ClassVar[tuple[type, ...]] = (PairInput,)

    def sequences(self, each: PairInput) -> tuple[TextSequence, ...]:
        """First and second text."""
        return each.text, each.text_pair

    def head_rows(self, read: Sequence[tuple[T, ...]]) -> list[tuple[T, ...]]:
        """A single row, of both texts' encodings."""
        return first_with_each_other(read)


def first_with_each_other(read: Sequence[tuple[T, ...]]) -> list[tuple[T, ...]]:
    """Head rows of bi-encoding: the first sequence beside each of the others. None of them has windows."""
    (first,), *others = read
    return [(first, other) for (other,) in others]
