"""What parts of the loop hear of its course."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Listener(Protocol):
    """Hears of every step and evaluation, in the same order on every process."""

    def end_step(self, losses: Mapping[str, float]) -> None:
        """After an optimizer step.

        Args:
            losses: Of the tasks in the step.
        """
        ...

    def end_evaluation(self, scores: Mapping[str, float], joint_score: float) -> None:
        """After an evaluation on the selection split.

        Args:
            scores: Every task's primary metric.
            joint_score: What the best checkpoint is chosen by.
        """
        ...
