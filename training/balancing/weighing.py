"""A step's losses → the factor of each task's gradient: declared weight, loss scale and balancer together."""

import math
from collections.abc import Mapping
from typing import Any

from training.balancing.base import Balancer, Losses, StepObservation, Weights
from training.balancing.scale import LossScale


class LossWeighing:
    """Weighs ``ℓ_i = weight_i · L_i / scale_i``.

    A loss that is not finite teaches the balancer nothing: the step then has the declared weights, and the
    gradient scaler of fp16 will skip it.

    Args:
        weights: The tasks' own, from the YAML file.
        scale: Divides the losses.
        balancer: Weighs them.
    """

    def __init__(self, *, weights: Mapping[str, float], scale: LossScale, balancer: Balancer) -> None:
        self._weights = dict(weights)
        self._scale = scale
        self.balancer = balancer
        self._factors: dict[str, float] = {}

    def weigh(self, losses: Losses) -> Weights:
        """Effective weights of the raw losses."""
        if not all(map(math.isfinite, losses.values())):
            return {name: self._weights[name] for name in losses}
        divisors = self._scale.divisors(losses)
        factors = {name: self._weights[name] / divisors[name] for name in losses}
        self._factors |= factors
        weights = self.balancer.weigh({name: factors[name] * loss for name, loss in losses.items()})
        return {name: weights[name] * factors[name] for name in losses}

    def end_step(self, step: StepObservation) -> None:
        """Let the balancer learn from a step. All numbers of ``step`` are of the raw losses."""
        seen = [*step.losses.values(), *step.gradient_norms.values(), *step.losses_after.values()]
        if all(map(math.isfinite, seen)):
            self.balancer.end_step(
                StepObservation(
                    losses=self._scaled(step.losses),
                    gradient_norms=self._scaled(step.gradient_norms),
                    losses_after=self._scaled(step.losses_after),
                )
            )

    def end_evaluation(self, scores: Mapping[str, float]) -> None:
        """Let the balancer learn from an evaluation."""
        self.balancer.end_evaluation(scores)

    def state_dict(self) -> dict[str, Any]:
        """The scale's and the balancer's."""
        return {
            "scale": self._scale.state_dict(),
            "balancer": self.balancer.state_dict(),
            "factors": self._factors,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._scale.load_state_dict(state["scale"])
        self.balancer.load_state_dict(state["balancer"])
        self._factors = dict(state["factors"])

    def _scaled(self, values: Mapping[str, float]) -> dict[str, float]:
        return {name: self._factors[name] * value for name, value in values.items()}
