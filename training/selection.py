"""Choosing the best checkpoint by a declared joint score, and stopping when it no longer rises."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def joint_score(metrics: Mapping[str, Mapping[str, float]], entries: Sequence[str]) -> float:
    """Mean of the declared metrics.

    Args:
        metrics: Task → metric → value.
        entries: ``task.metric`` each.
    """
    values = [metrics[task][metric] for task, metric in (entry.split(".") for entry in entries)]
    return sum(values) / len(values)


class EarlyStopping:
    """Remembers the best score, says which checkpoint to keep, and counts evaluations without a better one.

    A score within ``tolerance`` of the best is no worse than it, as far as so few rows can tell; then the
    later checkpoint is kept, which has learnt longer and at a lower rate.

    Args:
        patience: Evaluations without a better score before stopping; None never stops.
        tolerance: Difference of the joint score below which two checkpoints count as equally good.
    """

    def __init__(self, patience: int | None, tolerance: float = 0.0) -> None:
        self._patience = patience
        self._tolerance = tolerance
        self.best = -math.inf
        self._since_best = 0

    def update(self, score: float) -> bool:
        """Note a score. Returns whether its checkpoint is the one to keep so far."""
        if score > self.best:
            self.best, self._since_best = score, 0
            return True
        self._since_best += 1
        return self._tolerance > 0 and score >= self.best - self._tolerance

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out."""
        return self._patience is not None and self._since_best >= self._patience

    def state_dict(self) -> dict[str, Any]:
        """Best score and the count since."""
        return {"best": self.best, "since_best": self._since_best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self.best, self._since_best = state["best"], state["since_best"]
