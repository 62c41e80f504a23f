"""Tasks that enter one after the other and stay: sequential multitask learning.

ERNIE 2.0 (Sun et al. 2020, https://arxiv.org/abs/1907.12412): stage k learns tasks 1 to k together, and each
task's budget of steps is split over the stages it is in, so that none is forgotten and none costs more than
it would by itself. How to split is left open; here a task spends a fixed share of its budget in each stage
after its first, and the rest in its first. Four tasks of 50,000 steps and a share of 0.2 give 20/10/10/10,
30/10/10, 40/10 and 50 thousand.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Stage = Sequence[str]
"""Tasks that enter together."""


def budgets_of(sizes: Mapping[str, int], draws: int) -> dict[str, int]:
    """Draws of each task in the whole run: in proportion to size, exactly ``draws`` together.

    Args:
        sizes: Examples of each task.
        draws: Of the run.
    """
    total = sum(sizes.values())
    ends = np.round(np.cumsum([size * draws / total for size in sizes.values()])).astype(int)
    return dict(zip(sizes, np.diff(ends, prepend=0).tolist(), strict=True))


def split_over_stages(
    budgets: Mapping[str, int], stages: Sequence[Stage], *, replay: float
) -> list[dict[str, int]]:
    """Draws of each task in each stage.

    Args:
        budgets: Draws of each task in all.
        stages: Tasks by the stage that they enter in; every task once.
        replay: Share of a task's budget in each stage after its first, at most as much as leaves its first
            stage an equal share.
    """
    plan: list[dict[str, int]] = [{} for _ in stages]
    for entered, names in enumerate(stages):
        later = len(stages) - entered - 1
        for name in names:
            again = int(budgets[name] * min(replay, 1 / (later + 1)))
            plan[entered][name] = budgets[name] - later * again
            for stage in plan[entered + 1 :]:
                stage[name] = again
    return plan


class StagedSampler:
    """Draws one task at a time: stage by stage, each stage's draws in random order.

    Args:
        stages: Draws of each task in each stage.
        names: Of all tasks.
        seed: Of the whole run.
    """

    def __init__(self, stages: Sequence[Mapping[str, int]], names: Sequence[str], *, seed: int) -> None:
        self._names = list(names)
        self._tasks: list[str] = []
        self._ends: list[int] = []
        for number, stage in enumerate(stages):
            tasks = [name for name, count in stage.items() for _ in range(count)]
            order = np.random.default_rng([seed, number]).permutation(len(tasks))
            self._tasks += [tasks[index] for index in order]
            self._ends.append(len(self._tasks))
        self._draws = 0

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Shares of what is left of the stage."""
        place = self._draws % len(self._tasks)
        end = next(end for end in self._ends if end > place)
        left = self._tasks[place:end]
        return {name: left.count(name) / len(left) for name in self._names}

    def draw(self) -> tuple[str, ...]:
        """One task's name; after the last stage, from the first on."""
        name = self._tasks[self._draws % len(self._tasks)]
        self._draws += 1
        return (name,)

    def state_dict(self) -> dict[str, Any]:
        """Draws so far."""
        return {"draws": self._draws}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._draws = state["draws"]
