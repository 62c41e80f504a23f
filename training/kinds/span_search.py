"""The best answer among all windows of a context."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from training.kinds.windows import OUTSIDE, Window

NO_SPAN = -1e9
"""Below every sum of logits, and finite: thresholds between margins are written as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestSpan:
    """The best span, and how it compares.

    Attributes:
        start: Of its first character in the context.
        end: Behind its last one; equal to ``start`` where no window holds a token of the context.
        margin: How far the sum of its start and end logits exceeds that of its window's first token, which
            stands for no answer. Windows are learnt from one by one, so their logits have no common zero;
            what they say of no answer gives them one.
        probability: Of its start times that of its end, each among the context's tokens of all windows.
    """

    start: int
    end: int
    margin: float
    probability: float


def find_best_span(
    logits: Sequence[NDArray[np.float32]],
    windows: Sequence[Window],
    *,
    max_answer_tokens: int,
    temperature: float = 1.0,
) -> BestSpan:
    """The span with the highest margin, at most ``max_answer_tokens`` long.

    Args:
        logits: Of start and end less those of the first token, for each window. Shape ``(num_tokens, 2)``.
        windows: As many.
        max_answer_tokens: Of a span.
        temperature: Divides the logits of the probability.
    """
    best = max(
        (_best_of(own, window, max_answer_tokens) for own, window in zip(logits, windows, strict=True)),
        key=lambda found: found[0],
    )
    if best[0] == NO_SPAN:
        return BestSpan(start=0, end=0, margin=NO_SPAN, probability=0.0)
    in_context = np.concatenate([window.offsets[:, 0] for window in windows]) != OUTSIDE
    every = np.concatenate(logits)[in_context].astype(np.float64)
    peaks = np.array([best[3], best[4]])
    return BestSpan(
        start=best[1],
        end=best[2],
        margin=best[0],
        probability=float(np.exp((peaks / temperature - logsumexp(every / temperature, axis=0)).sum())),
    )


def _best_of(
    logits: NDArray[np.float32], window: Window, max_answer_tokens: int
) -> tuple[float, int, int, float, float]:
    """Margin, character start and end, start and end logit of a window's best span.

    A span of nothing but spaces (tokens of SentencePiece may be) is none.
    """
    offsets = window.offsets
    in_context = offsets[:, 0] != OUTSIDE
    seen = np.cumsum([0, *(in_context & ~window.is_blank)])
    starts, ends = np.where(in_context[:, None], logits, NO_SPAN).T.astype(np.float64)
    found = (NO_SPAN, 0, 0, NO_SPAN, NO_SPAN)
    for length in range(min(max_answer_tokens, len(logits))):
        count = len(starts) - length
        is_visible = seen[length + 1 :] > seen[:count]
        sums = np.where(is_visible, starts[:count] + ends[length:], NO_SPAN)
        first = int(sums.argmax())
        if sums[first] > found[0]:
            last = first + length
            found = (
                float(sums[first]),
                int(offsets[first, 0]),
                int(offsets[last, 1]),
                float(starts[first]),
                float(ends[last]),
            )
    return found
