"""Dynamic Task Prioritization."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.balancing.base import Balancer, Losses, Weights

EPSILON = 1e-3
"""Smallest KPI: its logarithm is finite, and a correlation below 0 counts as none."""


def focal_weight(kpi: float, gamma: float) -> float:
    """``−(1 − κ)^γ log κ``: falls in κ, and is 0 at κ = 1.

    Args:
        kpi: κ, a score to raise. Clipped to [``EPSILON``, 1].
        gamma: γ ≥ 0; the larger, the less an easy task weighs.
    """
    clipped = min(1.0, max(EPSILON, kpi))
    return float(-((1 - clipped) ** gamma) * math.log(clipped))


class DTP(Balancer):
    """Weighs a task by ``−(1 − κ̄)^γ log κ̄``: difficult tasks first.

    Guo et al. 2018, "Dynamic Task Prioritization for Multitask Learning" (ECCV), equations 2 and 3, at the
    level of tasks; ``κ̄ = α·κ + (1 − α)·κ̄`` is a moving average. Here κ is the task's primary metric on the
    selection split, so the weights move after each evaluation and are 1 before the first; the paper's is
    measured on training batches. Opposite in spirit to uncertainty weighting, which prefers the easy tasks.

    Args:
        tasks: Names.
        gamma: γ ≥ 0.
        smoothing: α in (0, 1].
    """

    def __init__(self, tasks: Sequence[str], *, gamma: float, smoothing: float) -> None:
        self._tasks = list(tasks)
        self._gamma = gamma
        self._smoothing = smoothing
        self._kpis: dict[str, float] = {}

    def weigh(self, losses: Losses) -> Weights:
        """By the KPIs so far."""
        weights = {name: focal_weight(kpi, self._gamma) for name, kpi in self._kpis.items()}
        return {name: weights.get(name, 1.0) for name in losses}

    def end_evaluation(self, scores: Mapping[str, float]) -> None:
        """Average in the new scores."""
        for name in self._tasks:
            past = self._kpis.get(name, scores[name])
            self._kpis[name] = self._smoothing * scores[name] + (1 - self._smoothing) * past

    def state_dict(self) -> dict[str, Any]:
        """The averages."""
        return {"kpis": self._kpis}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._kpis = dict(state["kpis"])
