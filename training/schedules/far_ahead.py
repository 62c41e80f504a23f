"""Skipping tasks far ahead: a task whose loss has fallen much further than the others' waits for them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


class FarAhead:
    """Holds tasks with ``r_i < mean_j(r_j) − margin``, where ``r_i = L_i / L_i(0)``.

    ``r_i`` is GradNorm's inverse training rate: 1 at the start, 0 at a loss of 0, without a unit. ``L_i`` is
    a moving average, ``L_i(0)`` the mean of the task's first losses. The task that is furthest behind is
    never held.

    Args:
        tasks: Names.
        margin: Above 0; 0.2 means 20 points of the initial loss.
        smoothing: Share of a new loss in the moving average.
        initial_steps: Steps of a task that ``L_i(0)`` is the mean of; before that nothing is held.
    """

    def __init__(
        self, tasks: Sequence[str], *, margin: float, smoothing: float = 0.1, initial_steps: int = 10
    ) -> None:
        self._tasks = list(tasks)
        self._margin = margin
        self._smoothing = smoothing
        self._initial_steps = initial_steps
        self._initial: dict[str, float] = dict.fromkeys(self._tasks, 0.0)
        self._counts: dict[str, int] = dict.fromkeys(self._tasks, 0)
        self._recent: dict[str, float] = {}

    @property
    def held(self) -> frozenset[str]:
        """Tasks far ahead of the others."""
        if any(count < self._initial_steps for count in self._counts.values()):
            return frozenset()
        rates = {name: self._recent[name] / max(self._initial[name], 1e-8) for name in self._tasks}
        mean = sum(rates.values()) / len(rates)
        return frozenset(name for name, rate in rates.items() if rate < mean - self._margin)

    def end_step(self, losses: Mapping[str, float]) -> None:
        """Average in the step's losses, but for what an overflow of fp16 made infinite."""
        finite = {name: loss for name, loss in losses.items() if math.isfinite(loss)}
        for name, loss in finite.items():
            self._counts[name] += 1
            if self._counts[name] <= self._initial_steps:
                self._initial[name] += loss / self._initial_steps
                self._recent[name] = self._initial[name]
            else:
                self._recent[name] += self._smoothing * (loss - self._recent[name])

    def end_evaluation(self, scores: Mapping[str, float], joint_score: float) -> None:
        """Scores do not matter here."""

    def state_dict(self) -> dict[str, Any]:
        """Averages and counts."""
        return {
            "initial": dict(self._initial),
            "counts": dict(self._counts),
            "recent": dict(self._recent),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._initial, self._counts = dict(state["initial"]), dict(state["counts"])
        self._recent = dict(state["recent"])
