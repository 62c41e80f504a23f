"""The best answer among all windows of a context."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from training.kinds.windows import OUTSIDE

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
    offsets: Sequence[NDArray[np.int64]],
    *,
    max_answer_tokens: int,
    temperature: float = 1.0,
) -> BestSpan:
    """The span with the highest margin, at most ``max_answer_tokens`` long.

    Args:
        logits: Of start and end less those of the first token, for each window. Shape ``(num_tokens, 2)``.
        offsets: As ``Window.offsets``, for each window.
        max_answer_tokens: Of a span.
        temperature: Divides the logits of the probability.
    """
    best = max(
        (_best_of(window, places, max_answer_tokens) for window, places in zip(logits, offsets, strict=True)),
        key=lambda found: found[0],
    )
    if best[0] == NO_SPAN:
        return BestSpan(start=0, end=0, margin=NO_SPAN, probability=0.0)
    in_context = np.concatenate(offsets)[:, 0] != OUTSIDE
    every = np.concatenate(logits)[in_context].astype(np.float64)
    peaks = np.array([best[3], best[4]])
    return BestSpan(
        start=best[1],
        end=best[2],
        margin=best[0],
        probability=float(np.exp((peaks / temperature - logsumexp(every / temperature, axis=0)).sum())),
    )


def _best_of(
    logits: NDArray[np.float32], offsets: NDArray[np.int64], max_answer_tokens: int
) -> tuple[float, int, int, float, float]:
    """Sum of logits, character start and end, start and end logit of a window's best span."""
    in_context = offsets[:, 0] != OUTSIDE
    starts, ends = np.where(in_context[:, None], logits, NO_SPAN).T.astype(np.float64)
    found = (NO_SPAN, 0, 0, NO_SPAN, NO_SPAN)
    for length in range(min(max_answer_tokens, len(logits))):
        sums = starts[: len(starts) - length] + ends[length:]
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
