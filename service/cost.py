"""What an encoder batch costs in seconds: fitted to a few shapes at warm-up, and again to what comes."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSample:
    """One measured batch."""

    rows: int
    row_len: int
    seconds: float
    """Of the whole machine: what one of several lanes took, divided by their number."""


class Cost(Protocol):
    """What the queue asks."""

    def sequence_s(self, num_tokens: int) -> float:
        """Seconds of one sequence alone: the least that anybody waits for it."""

    def backlog_s(self, num_tokens: int, *, max_batch_tokens: int, row_len: int) -> float:
        """Seconds until a queue of so many tokens is worked off in full batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """``seconds = fixed + per_token · rows · row_len + per_attention · rows · row_len²``, all terms ≥ 0."""

    fixed_s: float
    per_token_s: float
    per_attention_s: float

    def batch_s(self, rows: int, row_len: int) -> float:
        """Seconds of one batch."""
        return self.fixed_s + rows * row_len * (self.per_token_s + row_len * self.per_attention_s)

    def sequence_s(self, num_tokens: int) -> float:
        """Seconds of one sequence alone: the least that anybody waits for it."""
        return self.batch_s(1, num_tokens)

    def backlog_s(self, num_tokens: int, *, max_batch_tokens: int, row_len: int) -> float:
        """Seconds until a queue of so many tokens is worked off in full batches."""
        batches = -(-num_tokens // max_batch_tokens)
        rows = -(-num_tokens // row_len)
        return batches * self.fixed_s + rows * (self.batch_s(1, row_len) - self.fixed_s)


WINDOW = 64
"""Batches that are remembered: some seconds under load."""
REFIT_AFTER = 16
"""New batches that a fit needs."""
REFIT_EVERY_S = 1.0
"""Least time between two fits: whoever waits for the batch that brings one waits for the fit, too."""
ANCHORS = ((1, 16), (1, 64), (8, 64))
"""Shapes at which the warm-up's model counts as one measured batch each, at the speed of now: recent batches
may all be of one shape, which says nothing of others."""


class RefittedCost:
    """A cost model that follows the machine: other work on its cores, a lower clock, longer texts."""

    def __init__(self, first: CostModel, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._first = first
        self._clock = clock
        self._recent: deque[CostSample] = deque(maxlen=WINDOW)
        self._num_new = 0
        self._fitted_s = -math.inf
        self._lock = Lock()
        self.model = first
        """Replaced as a whole: the encoder's threads fit, the event loop reads."""

    def saw(self, sample: CostSample) -> None:
        """A batch has run."""
        with self._lock:
            self._recent.append(sample)
            self._num_new += 1
            now_s = self._clock()
            if self._num_new >= REFIT_AFTER and now_s - self._fitted_s >= REFIT_EVERY_S:
                self._num_new, self._fitted_s = 0, now_s
                self.model = fit_cost([*self._anchors(), *self._recent])

    def _anchors(self) -> list[CostSample]:
        slowdown = median(each.seconds / self._first_s(each.rows, each.row_len) for each in self._recent)
        return [
            CostSample(rows=rows, row_len=row_len, seconds=slowdown * self._first_s(rows, row_len))
            for rows, row_len in ANCHORS
        ]

    def _first_s(self, rows: int, row_len: int) -> float:
        return max(self._first.batch_s(rows, row_len), 1e-9)

    def sequence_s(self, num_tokens: int) -> float:
        """Seconds that a sequence takes, by the latest fit."""
        return self.model.sequence_s(num_tokens)

    def backlog_s(self, num_tokens: int, *, max_batch_tokens: int, row_len: int) -> float:
        """Seconds until so many tokens are computed, by the latest fit."""
        return self.model.backlog_s(num_tokens, max_batch_tokens=max_batch_tokens, row_len=row_len)


def fit_cost(samples: Sequence[CostSample]) -> CostModel:
    """Least squares with non-negative terms.

    Three terms have seven non-empty subsets: solving each and keeping the best admissible one is exact, and
    shorter than an active-set method. Errors count relative to the measured time, so that small batches
    matter.

    Raises:
        ValueError: If there is no sample.
    """
    if not samples:
        raise ValueError("Expected at least one measured batch, found none.")
    seconds = np.array([sample.seconds for sample in samples])
    terms = np.array([[1.0, s.rows * s.row_len, s.rows * s.row_len**2] for s in samples])
    terms /= seconds[:, None]
    candidates = [_solve(terms, subset) for size in (3, 2, 1) for subset in combinations(range(3), size)]
    admissible = [each for each in candidates if (each >= 0).all()]
    best = min(admissible, key=lambda each: float(np.sum((terms @ each - 1) ** 2)))
    return CostModel(fixed_s=float(best[0]), per_token_s=float(best[1]), per_attention_s=float(best[2]))


def _solve(terms: NDArray[np.float64], subset: tuple[int, ...]) -> NDArray[np.float64]:
    """Best coefficients where only the terms of ``subset`` may be non-zero. Shape ``(3,)``."""
    coefficients = np.zeros(terms.shape[1])
    coefficients[list(subset)] = np.linalg.lstsq(terms[:, subset], np.ones(len(terms)), rcond=None)[0]
    return coefficients
