"""A question with its context, in as many overlapping windows as the context needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from training.tokenization import TokenSequence

OUTSIDE = -1
LEAST_CONTEXT = 8
"""Tokens of the context that each window must bring anew: fewer, and windows would hardly move on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of a context, behind its question.

    Attributes:
        sequence: The encoder's input.
        offsets: Where in the context each token begins and ends, in characters; ``OUTSIDE`` twice for
            tokens of the question and special tokens. Shape ``(num_tokens, 2)``.
        is_blank: Whether each token is nothing but spaces of the context. Shape ``(num_tokens,)``.
    """

    sequence: TokenSequence
    offsets: NDArray[np.int64]
    is_blank: NDArray[np.bool_]

    def tokens_of(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last token of the context's characters from ``start`` to ``end``, if all are in here."""
        inside = np.flatnonzero(self.offsets[:, 0] != OUTSIDE)
        if not len(inside) or self.offsets[inside[0], 0] > start or self.offsets[inside[-1], 1] < end:
            return None
        first = inside[self.offsets[inside, 1] > start][0]
        last = inside[self.offsets[inside, 0] < end][-1]
        return (int(first), int(last)) if first <= last else None


class WindowEncoder:
    """Cuts contexts into windows.

    Args:
        tokenizer: Of the encoder; its truncation says how long a window may be. Not changed.
        stride: Tokens that neighbouring windows share.
    """

    def __init__(self, tokenizer: Tokenizer, *, stride: int) -> None:
        truncation = tokenizer.truncation
        if truncation is None:
            raise ValueError("Parameter `tokenizer` should truncate. Found one that does not.")
        self._max_length: int = truncation["max_length"]
        self._specials = tokenizer.num_special_tokens_to_add(is_pair=True)
        self._stride = stride
        self._whole = tokenizer
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.enable_truncation(self._max_length, stride=stride, strategy="only_second")

    def encode(self, question: str, context: str) -> list[Window]:
        """Windows from the start of the context to its end.

        Raises:
            ValueError: If the question leaves too little room for the context.
        """
        length = len(self._whole.encode(question, add_special_tokens=False).ids)
        limit = self._max_length - self._specials - self._stride - LEAST_CONTEXT
        if length > limit:
            raise ValueError(
                f"the question has {length} tokens or more; at most {limit} leave room for the context "
                f"(max_length {self._max_length}, stride {self._stride})"
            )
        encoding = self._tokenizer.encode(question, context)
        return [_window(each, context) for each in (encoding, *encoding.overflowing)]


def _window(encoding: Encoding, context: str) -> Window:
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    in_context = np.array([number == 1 for number in encoding.sequence_ids], dtype=bool)
    offsets[~in_context | (offsets[:, 0] >= offsets[:, 1])] = OUTSIDE
    return Window(
        sequence=TokenSequence.of(encoding),
        offsets=offsets,
        is_blank=np.array(
            [start != OUTSIDE and context[start:end].isspace() for start, end in offsets], dtype=bool
        ),
    )
