"""Text → exact token ids, off the event loop where that pays."""

import asyncio
import math
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.errors import RequestTooLarge
from service.splitting import split_by_size

INLINE_CHARS = 1_000
"""Texts up to this many characters together are tokenised on the event loop.

Measured 2026-11 on two cores, MiniLM's tokenizer: 33 µs for a sentence of 70 characters and about 0.45 µs a
character, against about 180 µs for a hop to a thread and back. Below, the hop costs more than it frees.
"""

PART_CHARS = 100_000
"""Of texts that take the thread in one piece, unless one text has more: a twentieth of a second."""

MIN_NEW_TOKENS = 8
"""Context tokens that a window must have beyond those that it shares with its neighbour.

With fewer, a long context would need windows without end.
"""


class TextPair(NamedTuple):
    """Two texts that the encoder sees as one sequence, cut at its longer text."""

    text: str
    text_pair: str


class ContextWindows(NamedTuple):
    """A question with a context of any length: as many sequences as it takes, with the question in each."""

    question: str
    context: str
    stride: int
    """Context tokens that neighbouring windows share."""


TextSequence: TypeAlias = str | TextPair | ContextWindows
"""What the encoder reads, before tokenisation. Compared and hashed for every text, hence no dataclasses."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenOffsets:
    """Where the tokens of a sequence come from. One entry each, special tokens included."""

    spans: Sequence[tuple[int, int]]
    """Start and end in the text, in Unicode code points."""
    sides: Sequence[int | None]
    """0 for the first or only text, 1 for the second, None for a special token."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenizedInput:
    """One sequence as the encoder sees it."""

    input_ids: NDArray[np.int32]
    """Shape ``(num_tokens,)``, special tokens included."""
    token_type_ids: NDArray[np.uint8]
    """Shape ``(num_tokens,)``: which of a pair's texts a token belongs to, for encoders that ask."""
    is_pair: bool
    is_truncated: bool
    offsets: TokenOffsets | None = field(default=None, repr=False)
    """Only where they were asked for."""

    @property
    def num_tokens(self) -> int:
        """Length after truncation."""
        return len(self.input_ids)


Windows: TypeAlias = tuple[TokenizedInput, ...]
"""What one text sequence becomes: nearly always one sequence of tokens."""


class QuestionTooLong(Exception):  # noqa: N818 - as service.errors names its own
    """Questions that leave too little room for a context."""

    def __init__(self, faults: Mapping[int, str]) -> None:
        """Name every one of them.

        Args:
            faults: A sentence for each, by its place among the sequences.
        """
        super().__init__("; ".join(faults.values()))
        self.faults = faults


class Tokenizer(Protocol):
    """Text → tokens."""

    async def tokenize(
        self, sequences: Sequence[TextSequence], *, with_offsets: Collection[int] = ()
    ) -> list[Windows]:
        """Tokenise in the given order.

        Args:
            sequences: In any number and mixture.
            with_offsets: Places of those whose tokens' offsets are wanted. Windows always have them.

        Raises:
            QuestionTooLong: If questions leave too little room for their contexts.
            RequestTooLarge: If contexts become more windows than may ever wait for the encoder.
        """

    def close(self) -> None:
        """Let go of threads."""


class FastTokenizer:
    """The bundle's ``tokenizer.json``, run by the ``tokenizers`` library alone."""

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401
        *,
        max_length: int,
        max_window_tokens: int = sys.maxsize,
    ) -> None:
        """Set the tokenizer's truncation.

        Args:
            tokenizer: Of the ``tokenizers`` library; changed.
            max_length: Tokens of a sequence, special tokens included.
            max_window_tokens: Of all windows of a call.
        """
        # A bundle's file truncates and never pads already. A hand-made one may carry fixed padding
        # ("hello world" becomes 128 ids), which would poison every cache key.
        tokenizer.no_padding()
        self._windowing: dict[int, Any] = {}
        tokenizer.enable_truncation(max_length, strategy="longest_first")
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._max_window_tokens = max_window_tokens
        self._num_special = tokenizer.num_special_tokens_to_add(is_pair=True)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="tokenize")

    @classmethod
    def from_file(cls, path: Path, *, max_length: int, max_window_tokens: int = sys.maxsize) -> Self:
        """Load ``tokenizer.json``."""
        # Without it the library warns after a fork, and turns its parallelism off. Nothing forks here after
        # start.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        from tokenizers import Tokenizer as RustTokenizer

        tokenizer = RustTokenizer.from_file(str(path))
        return cls(tokenizer, max_length=max_length, max_window_tokens=max_window_tokens)

    async def tokenize(
        self, sequences: Sequence[TextSequence], *, with_offsets: Collection[int] = ()
    ) -> list[Windows]:
        """Tokenise in the given order; long work goes to a thread, where the library releases the GIL."""
        sizes = list(map(num_chars, sequences))
        if sum(sizes) <= INLINE_CHARS:
            if len(sequences) == 1 and not with_offsets and not isinstance(sequences[0], ContextWindows):
                return [self._encode_alone(sequences[0])]
            return self._encode(sequences, with_offsets, self._max_window_tokens)
        return await self._encode_in_parts(sequences, with_offsets, split_by_size(sizes, most=PART_CHARS))

    def close(self) -> None:
        """Let the thread go."""
        self._threads.shutdown(wait=False)

    def _encode_alone(self, sequence: str | TextPair) -> Windows:
        """Without giving up the interpreter, which batches do: it would come back later than this takes."""
        texts = (sequence,) if isinstance(sequence, str) else sequence
        return _tokenized(sequence, self._tokenizer.encode(*texts))

    async def _encode_in_parts(
        self, sequences: Sequence[TextSequence], with_offsets: Collection[int], parts: Sequence[slice]
    ) -> list[Windows]:
        """Others get the thread after each part; who leaves, or is late, takes none of it any more."""
        loop = asyncio.get_running_loop()
        if windowed := _windowed(sequences):  # all questions that are too long are to be named
            await loop.run_in_executor(self._threads, self._question_lens, windowed)
        encoded: list[Windows] = []
        left = self._max_window_tokens
        for part in parts:
            asked = {place - part.start for place in with_offsets if part.start <= place < part.stop}
            found = await loop.run_in_executor(self._threads, self._encode, sequences[part], asked, left)
            left -= sum(window.num_tokens for place in _windowed(sequences[part]) for window in found[place])
            encoded += found
        return encoded

    def _encode(
        self, sequences: Sequence[TextSequence], with_offsets: Collection[int], max_window_tokens: int
    ) -> list[Windows]:
        windowed = _windowed(sequences)
        if not windowed and not with_offsets:
            # The fast variant leaves the offsets out: a fifth less time.
            return list(map(_tokenized, sequences, self._tokenizer.encode_batch_fast(sequences)))
        encoded: list[Windows] = [()] * len(sequences)
        for place, windows in self._cut_all(windowed, max_window_tokens):
            encoded[place] = windows
        whole = [place for place in range(len(sequences)) if place not in windowed]
        for asked, encode in (
            (False, self._tokenizer.encode_batch_fast),
            (True, self._tokenizer.encode_batch),
        ):
            places = [place for place in whole if (place in with_offsets) == asked]
            for place, found in zip(places, encode([sequences[place] for place in places]), strict=True):
                encoded[place] = _tokenized(sequences[place], found, with_offsets=asked)
        return encoded

    def _cut_all(self, windowed: Mapping[int, ContextWindows], left: int) -> Iterator[tuple[int, Windows]]:
        for (place, each), question_len in zip(windowed.items(), self._question_lens(windowed), strict=True):
            # Counting takes half as long as cutting: a short context is cut at once.
            if len(each.context) > INLINE_CHARS:
                self._check_windows(self._count_tokens(each, question_len), left)
            windows = self._cut_into_windows(each)
            num_tokens = sum(window.num_tokens for window in windows)
            self._check_windows(num_tokens, left)
            left -= num_tokens
            yield place, windows

    def _check_windows(self, num_tokens: int, left: int) -> None:
        if num_tokens > left:
            most = self._max_window_tokens
            raise RequestTooLarge(
                f"The windows of the contexts, each with its question, have {most - left + num_tokens} "
                f"tokens or more; at most {most} may wait. Split the request, or shorten the questions."
            )

    def _count_tokens(self, each: ContextWindows, question_len: int) -> int:
        """Tokens of all windows that a context will be cut into."""
        (encoding,) = self._tokenizer.encode_batch_fast([each.context], add_special_tokens=False)
        context_len = sum(map(len, (encoding, *encoding.overflowing)))
        room = self._max_length - self._num_special - question_len
        further: int = max(0, math.ceil((context_len - room) / (room - each.stride)))
        repeated = (1 + further) * (self._num_special + question_len) + further * each.stride
        return context_len + int(repeated)

    def _cut_into_windows(self, each: ContextWindows) -> Windows:
        first = self._cutting(each.stride).encode(each.question, each.context)
        return tuple(
            TokenizedInput(
                input_ids=np.array(window.ids, dtype=np.int32),
                token_type_ids=np.array(window.type_ids, dtype=np.uint8),
                is_pair=True,
                is_truncated=False,  # what one window leaves out, the next ones have
                offsets=TokenOffsets(spans=window.offsets, sides=window.sequence_ids),
            )
            for window in (first, *first.overflowing)
        )

    def _cutting(self, stride: int) -> Any:  # noqa: ANN401
        """Truncation is a tokenizer's own state: windows need another one for every stride.

        Made on first use, which is a bundle's golden check: a model that is loaded later may have its own.
        """
        if stride not in self._windowing:
            each = _copy(self._tokenizer)
            each.enable_truncation(self._max_length, stride=stride, strategy="only_second")
            self._windowing[stride] = each
        return self._windowing[stride]

    def _question_lens(self, windowed: Mapping[int, ContextWindows]) -> list[int]:
        """Tokens of each question. Of one that is too long, no more than ``max_length`` are counted."""
        encodings = self._tokenizer.encode_batch_fast(
            [each.question for each in windowed.values()], add_special_tokens=False
        )
        lens = [len(encoding.ids) for encoding in encodings]
        faults = {}
        for (place, each), question_len in zip(windowed.items(), lens, strict=True):
            room = self._max_length - self._num_special - each.stride - MIN_NEW_TOKENS
            if question_len > room:
                faults[place] = f"More than {room} tokens, which leaves too few for the context."
        if faults:
            raise QuestionTooLong(faults)
        return lens


def _tokenized(sequence: TextSequence, encoding: Any, *, with_offsets: bool = False) -> Windows:  # noqa: ANN401
    tokenized = TokenizedInput(
        input_ids=np.array(encoding.ids, dtype=np.int32),
        token_type_ids=np.array(encoding.type_ids, dtype=np.uint8),
        is_pair=not isinstance(sequence, str),
        is_truncated=bool(encoding.overflowing),
        offsets=TokenOffsets(spans=encoding.offsets, sides=encoding.sequence_ids) if with_offsets else None,
    )
    return (tokenized,)


def _windowed(sequences: Sequence[TextSequence]) -> dict[int, ContextWindows]:
    return {place: each for place, each in enumerate(sequences) if isinstance(each, ContextWindows)}


def num_chars(sequence: TextSequence) -> int:
    """Characters of all its texts."""
    return len(sequence) if isinstance(sequence, str) else len(sequence[0]) + len(sequence[1])


def _copy(tokenizer: Any) -> Any:  # noqa: ANN401
    return type(tokenizer).from_str(tokenizer.to_str())
