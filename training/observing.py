"""What those who watch a run are told: a progress bar, TensorBoard, the run's history, a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from training.evaluation import Metrics
from training.gradients import StepReport
from training.sharing.gate_use import GateUse


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What an evaluation on the selection split found.

    Attributes:
        step: Steps done.
        metrics: Of every task.
        score: The joint score.
        is_best: Whether its checkpoint is the one to keep so far: the one with the best score or, with a
            tolerance, a later one that is as good.
        cosines: Between the tasks' gradients, if they are probed.
        gates: Of the sharing layer, by name, if it has some.
    """

    step: int
    metrics: Metrics
    score: float
    is_best: bool
    cosines: dict[tuple[str, str], float] = field(default_factory=dict)
    gates: dict[str, GateUse] = field(default_factory=dict)

    @property
    def primary(self) -> dict[str, float]:
        """Every task's primary metric, the first of its metrics."""
        return {task: next(iter(values.values())) for task, values in self.metrics.items()}


class Observer(Protocol):
    """Watches a run."""

    def on_step(self, step: int, report: StepReport, rates: Mapping[str, float]) -> None:
        """After an optimizer step.

        Args:
            step: Steps done.
            report: Losses, weights and cosines of the step's tasks.
            rates: Learning rates by the optimizer's groups: ``encoder``, ``heads``, ``sharing``, ``mixing``.
        """
        ...

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """After an evaluation."""
        ...


class Observers:
    """Several observers as one, in their order. None at all is silence.

    Args:
        observers: Any number.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def on_step(self, step: int, report: StepReport, rates: Mapping[str, float]) -> None:
        """Tell all of them."""
        for observer in self._observers:
            observer.on_step(step, report, rates)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Tell all of them."""
        for observer in self._observers:
            observer.on_evaluation(evaluation)
