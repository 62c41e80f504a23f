"""What every loss balancer promises: losses → how much of each task's gradient goes into the step.

A scalarizer ``S`` makes one loss of many, and the gradient of ``S(L(θ))`` is ``Σ ∂S/∂L_i · ∇L_i``. So all
that a step needs of it are the numbers ``∂S/∂L_i``, its *effective weights*: they are logged, they scale the
rows of the gradient matrix where an aggregator combines them, and the balancer never touches the model's
graph.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Losses = Mapping[str, float]
Weights = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepObservation:
    """What a balancer may learn from an optimizer step.

    Attributes:
        losses: Of the tasks in the step, as they were weighed; means over the step's batches.
        gradient_norms: ``‖∇_W L_i‖`` for the last shared layer ``W``; filled if ``needs_gradient_norms``.
        losses_after: On the step's last batches, after the update; filled if ``needs_losses_after``.
    """

    losses: Losses
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    losses_after: Losses = field(default_factory=dict)


class Balancer(ABC):
    """Weighs the losses of a step.

    Attributes:
        needs_every_task: Whether each step must have all tasks (the metabatch).
        needs_gradient_norms: Whether ``end_step`` wants them.
        needs_losses_after: Likewise, at the price of a second forward pass.
    """

    needs_every_task: bool = False
    needs_gradient_norms: bool = False
    needs_losses_after: bool = False

    @abstractmethod
    def weigh(self, losses: Losses) -> Weights:
        """Effective weights of the tasks in ``losses``, which are finite."""

    def end_step(self, step: StepObservation) -> None:  # noqa: B027 - most have nothing to learn
        """Learn from an optimizer step."""

    def end_evaluation(self, scores: Mapping[str, float]) -> None:  # noqa: B027
        """Learn from an evaluation: every task's primary metric."""

    def state_dict(self) -> dict[str, Any]:
        """Everything the next weights depend on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Continue from a saved place."""
