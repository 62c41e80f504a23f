"""Samplers whose epoch shows every batch of every task exactly once, and then starts over.

They differ in which of the tasks with batches left comes next. ``ExampleStream`` cuts each task's epoch into
the same number of batches, so each example is seen once an epoch too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


def batches_an_epoch(sizes: Mapping[str, int], batch_size: int) -> dict[str, int]:
    """Batches that hold each of a task's examples once; the last one may be smaller."""
    return {name: math.ceil(size / batch_size) for name, size in sizes.items()}


def sequential(batches: Mapping[str, int], order: Sequence[str]) -> list[str]:
    """All batches of the first task, then all of the second, and so on.

    Args:
        batches: Of each task.
        order: Every task once.
    """
    return [name for name in order for _ in range(batches[name])]


def packed(batches: Mapping[str, int], generator: np.random.Generator) -> list[str]:
    """The batches of all tasks in random order: the loop of MT-DNN.

    Algorithm 1 of Liu et al. 2019, https://arxiv.org/abs/1901.11504: pack all tasks' mini-batches, shuffle,
    and step on each.
    """
    names = sequential(batches, list(batches))
    return [names[index] for index in generator.permutation(len(names))]


def exhausting(batches: Mapping[str, int]) -> list[str]:
    """In turn; a task whose batches are used up sits out until all tasks' are."""
    rounds = range(max(batches.values()))
    return [name for turn in rounds for name, count in batches.items() if turn < count]


class EpochSampler:
    """Plays one epoch's list of tasks after the other.

    Args:
        names: Of all tasks.
        plan: One epoch's tasks in order, from the epoch's own random generator.
        seed: Of the whole run.
    """

    def __init__(
        self, names: Sequence[str], plan: Callable[[np.random.Generator], Sequence[str]], *, seed: int
    ) -> None:
        self._names = list(names)
        self._plan = plan
        self._seed = seed
        self._start(epoch=0)

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Shares of what is left of the epoch."""
        left = self._tasks[self._position :] or self._tasks
        return {name: left.count(name) / len(left) for name in self._names}

    def draw(self) -> tuple[str, ...]:
        """One task's name."""
        if self._position == len(self._tasks):
            self._start(epoch=self._epoch + 1)
        name = self._tasks[self._position]
        self._position += 1
        return (name,)

    def state_dict(self) -> dict[str, Any]:
        """Epoch, and place in it."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._start(epoch=state["epoch"])
        self._position = state["position"]

    def _start(self, *, epoch: int) -> None:
        # A generator of its own for each epoch: no state to save beside the epoch's number.
        self._tasks = list(self._plan(np.random.default_rng([self._seed, epoch])))
        self._epoch, self._position = epoch, 0
