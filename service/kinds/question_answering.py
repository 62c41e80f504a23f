"""Extractive question answering over contexts of any length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from export.manifest import SpanSearch
from service.inputs import QuestionInput
from service.kinds.answers import AnswerSpan, SpanAnswer
from service.kinds.base import AnswerOptions, InputDecoder, Reader, Reading
from service.kinds.scores import sigmoid, softmax
from service.tokenization import ContextWindows, TextSequence, TokenizedInput, TokenOffsets

MAX_SPANS = 100
"""Spans of an answer, with ``top_k``. Every window of a context is searched for as many."""

CONTEXT_SIDE = 1
"""The context is the second text of its sequences."""


@dataclass(frozen=True, slots=True)
class ContextReader(Reader[QuestionInput]):
    """The question with every window of the context."""

    takes: ClassVar[tuple[type, ...]] = (QuestionInput,)
    reads_pairs: ClassVar[bool] = True
    needs_offsets: ClassVar[bool] = True

    stride: int

    def sequences(self, each: QuestionInput) -> tuple[TextSequence, ...]:
        """One, of as many windows as it takes."""
        return (ContextWindows(each.question, each.context, self.stride),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A span that may be the answer."""

    start: int
    """Its first character, counted in code points of the context."""
    end: int
    """Behind its last character, likewise."""
    logits: tuple[float, float]
    """Of its first and of its last token, less those of its window's first token."""
    score: float

    @property
    def margin(self) -> float:
        """How far the span exceeds no answer, in logits."""
        return sum(self.logits)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanDecoder(InputDecoder):
    """The span that exceeds no answer by most, if by enough."""

    options: ClassVar[tuple[str, ...]] = ("top_k", "return_logits")

    search: SpanSearch
    temperature: float

    def answer(self, reading: Reading, options: AnswerOptions) -> SpanAnswer:
        """From start and end logits for each token of each window."""
        found = best_spans(
            reading.input.context,
            reading.tokens,
            reading.logits,
            count=min(options.top_k or 1, MAX_SPANS),
            max_tokens=self.search.max_answer_tokens,
            temperature=self.temperature,
        )
        spans = [_describe(each, reading.input.context, options) for each in found]
        lack = self._threshold - found[0].margin if found else np.inf
        if lack >= 0:
            score = float(sigmoid(np.array(lack), temperature=self.temperature))
            answer = SpanAnswer(answer="", start=None, end=None, score=score)
        else:
            best = found[0]
            answer = SpanAnswer(answer=spans[0]["answer"], start=best.start, end=best.end, score=best.score)
            if options.return_logits:
                answer["logits"] = list(best.logits)
        if options.top_k is not None:
            answer["answers"] = spans
        return answer

    @property
    def _threshold(self) -> float:
        threshold = self.search.no_answer_threshold
        return -np.inf if threshold is None else threshold


def best_spans(
    context: str,
    windows: Sequence[TokenizedInput],
    logits: NDArray[np.float32],
    *,
    count: int,
    max_tokens: int,
    temperature: float = 1.0,
) -> list[Candidate]:
    """The best spans of a context, the best first.

    Windows are learnt from one by one, so their logits have no common zero: what each says of no answer, by
    its first token, gives them one. A span that lies in several windows counts once, with its best margin.
    Its score is the probability of its start times that of its end, each a softmax over the context's tokens
    in all windows.

    Args:
        context: What the tokens' offsets refer to.
        windows: With offsets.
        logits: Start and end logits of each token of each window. Shape ``(num_tokens of all, 2)``.
        count: Spans wanted. There may be fewer.
        max_tokens: Tokens of a span.
        temperature: Of the scores.
    """
    logits = _above_no_answer(logits, windows)
    is_context = np.concatenate([_is_context(window) for window in windows])
    probabilities = np.zeros(logits.shape)
    if is_context.any():
        probabilities[is_context] = softmax(logits[is_context].T, temperature=temperature).T
    best: dict[tuple[int, int], Candidate] = {}
    row = 0
    for window in windows:
        rows = slice(row, row + window.num_tokens)
        places = np.flatnonzero(is_context[rows])
        seen: set[tuple[int, int]] = set()
        for first, last in _by_sum_of_logits(logits[rows][places], max_tokens=max_tokens):
            if len(seen) == count:
                break
            span = _trimmed(context, window, places[first], places[last])
            if span in seen or span[0] >= span[1]:
                continue
            seen.add(span)
            start, end = row + places[first], row + places[last]
            candidate = Candidate(
                start=span[0],
                end=span[1],
                logits=(float(logits[start, 0]), float(logits[end, 1])),
                score=float(probabilities[start, 0] * probabilities[end, 1]),
            )
            known = best.get(span)
            if known is None or known.margin < candidate.margin:
                best[span] = candidate
        row += window.num_tokens
    return sorted(best.values(), key=lambda each: -each.margin)[:count]


def _above_no_answer(logits: NDArray[np.float32], windows: Sequence[TokenizedInput]) -> NDArray[np.float32]:
    """The logits of each window less those of its first token."""
    lengths = [window.num_tokens for window in windows]
    first_rows = np.cumsum([0, *lengths[:-1]])
    relative: NDArray[np.float32] = logits - np.repeat(logits[first_rows], lengths, axis=0)
    return relative


def _by_sum_of_logits(logits: NDArray[np.float32], *, max_tokens: int) -> Iterator[tuple[int, int]]:
    """First and last token of every span, the highest sum of start and end logit first.

    Args:
        logits: Of the context's tokens in a window. Shape ``(num_tokens, 2)``.
        max_tokens: Tokens of a span.
    """
    num_tokens = len(logits)
    widths = min(max_tokens, num_tokens)
    sums = np.full((widths, num_tokens), -np.inf)
    for width in range(widths):  # the last token lies ``width`` after the first
        sums[width, : num_tokens - width] = (
            logits[: num_tokens - width, 0].astype(np.float64) + logits[width:, 1]
        )
    for place in np.argsort(-sums, axis=None, kind="stable"):
        width, first = divmod(int(place), num_tokens)
        if first + width < num_tokens:
            yield first, first + width


def _trimmed(context: str, window: TokenizedInput, first: int, last: int) -> tuple[int, int]:
    """Characters of a span, without the spaces that a tokenizer may count to its tokens."""
    spans = _offsets(window).spans
    start, end = spans[first][0], spans[last][1]
    text = context[start:end]
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())


def _is_context(window: TokenizedInput) -> NDArray[np.bool_]:
    """Which tokens are characters of the context. Shape ``(num_tokens,)``."""
    offsets = _offsets(window)
    return np.array(
        [
            side == CONTEXT_SIDE and start < end
            for (start, end), side in zip(offsets.spans, offsets.sides, strict=True)
        ]
    )


def _offsets(window: TokenizedInput) -> TokenOffsets:
    assert window.offsets is not None, "windows always have them"  # noqa: S101
    return window.offsets


def _describe(span: Candidate, context: str, options: AnswerOptions) -> AnswerSpan:
    answer = AnswerSpan(
        answer=context[span.start : span.end], start=span.start, end=span.end, score=span.score
    )
    if options.return_logits:
        answer["logits"] = list(span.logits)
    return answer
