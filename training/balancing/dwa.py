"""Dynamic Weight Average."""

import math
from collections.abc import Sequence
from typing import Any

from training.balancing.base import Balancer, Losses, StepObservation, Weights


class DWA(Balancer):
    """``λ_k = K·softmax_k(w_k / T)`` with ``w_k = L_k(t−1) / L_k(t−2)``: slow tasks weigh more.

    Liu et al. 2019, https://arxiv.org/abs/1803.10704, equation 7. ``L_k(t)`` is a mean over an epoch, and the
    first two epochs have ``λ = 1``.

    Differs from TorchJD's DWA, which it equals where every step has every task: a task's mean counts the
    steps that it was in, so that it works with one task a batch; a task that an epoch did not show has
    ``w = 1``; and its history is saved.

    Args:
        tasks: Names.
        temperature: T; large is uniform. The paper takes 2.
        epoch_steps: Optimizer steps of an "epoch".
    """

    def __init__(self, tasks: Sequence[str], *, temperature: float, epoch_steps: int) -> None:
        self._tasks = list(tasks)
        self._temperature = temperature
        self._epoch_steps = epoch_steps
        self._steps = 0
        self._sums = dict.fromkeys(self._tasks, 0.0)
        self._counts = dict.fromkeys(self._tasks, 0)
        self._means: list[dict[str, float]] = []

    def weigh(self, losses: Losses) -> Weights:
        """``λ`` of the present epoch."""
        present = self._lambdas()
        return {name: present[name] for name in losses}

    def end_step(self, step: StepObservation) -> None:
        """Count the step's losses, and close the epoch after its last step."""
        for name, loss in step.losses.items():
            self._sums[name] += loss
            self._counts[name] += 1
        self._steps += 1
        if self._steps % self._epoch_steps == 0:
            means = {name: self._sums[name] / n for name, n in self._counts.items() if n > 0}
            self._means = [*self._means, means][-2:]
            self._sums = dict.fromkeys(self._tasks, 0.0)
            self._counts = dict.fromkeys(self._tasks, 0)

    def state_dict(self) -> dict[str, Any]:
        """Both epochs' means, and the present epoch's sums."""
        return {"steps": self._steps, "sums": self._sums, "counts": self._counts, "means": self._means}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._steps, self._means = state["steps"], list(state["means"])
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])

    def _lambdas(self) -> Weights:
        if len(self._means) < 2:
            return dict.fromkeys(self._tasks, 1.0)
        older, newer = self._means
        rates = {
            # A loss of zero has no rate of descent.
            name: newer[name] / older[name] if name in newer and older.get(name, 0.0) > 0 else 1.0
            for name in self._tasks
        }
        largest = max(rates.values())
        powers = {name: math.exp((rate - largest) / self._temperature) for name, rate in rates.items()}
        total = sum(powers.values())
        return {name: len(powers) * value / total for name, value in powers.items()}
