"""What a step's gradient is made of, and what it reports."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training.balancing import LossWeighing, StepObservation
from training.gradients.processes import sum_over_processes
from training.seeding import seeded

BatchLoss = Callable[[], Tensor]
"""Computes one task's loss on one batch; on the same batch each time it is called.

Of several processes, each computes its share of the loss: the shares add up to the mean over the batch.
"""
Draw = Mapping[str, BatchLoss]
"""The tasks of one draw of the sampler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What a step did, by task.

    Attributes:
        losses: Unweighted means over the step's batches.
        weights: How much of each task's own gradient, the mean over its batches, the shared parameters got.
        cosines: Between every two tasks' gradients, where they were kept apart.
        probabilities: Share of the coming draws that each task was in, before the step.
        penalty: What the sharing layer added to the loss, if it adds something.
        wall_s: Seconds of the whole step, its update included.
        cpu_s: Seconds of processor time, of all threads together.
    """

    losses: dict[str, float]
    weights: dict[str, float]
    cosines: dict[tuple[str, str], float] = field(default_factory=dict)
    probabilities: dict[str, float] = field(default_factory=dict)
    penalty: float | None = None
    # What a step took is no part of what it did: a resumed run's reports equal the first one's.
    wall_s: float = field(default=0.0, compare=False)
    cpu_s: float = field(default=0.0, compare=False)


class GradientStep(ABC):
    """Makes the gradient of an optimizer step. Call it, update the parameters, and ``finish``.

    Args:
        weighing: Weighs the losses.
        accelerator: Scales losses for mixed precision and accumulation, and knows the processes.
        last_layer: The shared parameters nearest to the heads, for balancers that compare gradient norms.
        seed: Of the whole run.
    """

    def __init__(
        self,
        *,
        weighing: LossWeighing,
        accelerator: Accelerator,
        last_layer: Sequence[nn.Parameter],
        seed: int,
    ) -> None:
        self.weighing = weighing
        self._accelerator = accelerator
        self._last_layer = list(last_layer)
        self._seed = seed
        self._losses: dict[str, float] = {}
        self._norms: list[dict[str, float]] = []

    @abstractmethod
    def __call__(self, draws: Sequence[Draw], *, step: int) -> StepReport:
        """Leave the mean gradient of the draws in ``.grad``.

        Args:
            draws: As many as there are backward passes in a step.
            step: Steps done; random draws depend on it and the seed.
        """

    def finish(self, draws: Sequence[Draw]) -> None:
        """Let the balancer learn from the step, after the update.

        Args:
            draws: The step's.
        """
        after = {}
        if self.weighing.balancer.needs_losses_after:
            with torch.no_grad():
                after = self._everywhere({name: compute() for name, compute in draws[-1].items()})
        observation = StepObservation(
            losses=self._losses, gradient_norms=means(self._norms), losses_after=after
        )
        self.weighing.end_step(observation)
        self._losses, self._norms = {}, []

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on, beside the weighing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - the plain sum remembers nothing
        """Continue from a saved place."""

    def _weigh(self, losses: Mapping[str, float], *seeds: int) -> dict[str, float]:
        with seeded(self._seed, *seeds):
            return self.weighing.weigh(losses)

    def _everywhere(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """Losses as numbers, of all processes together."""
        values = torch.stack([loss.detach().float() for loss in losses.values()])
        sum_over_processes(self._accelerator, [values])
        return dict(zip(losses, values.tolist(), strict=True))

    def _measure_norm(self, loss: Tensor) -> float:
        """``‖∇_W L‖`` for the last shared layer ``W``; the loss's graph is kept."""
        scaler = self._accelerator.scaler  # without the scale of fp16, small gradients would be 0
        scale = scaler.get_scale() if scaler is not None else 1.0
        found = torch.autograd.grad(
            loss * scale, self._last_layer, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        flat = torch.cat([gradient.flatten() for gradient in found]) / scale
        sum_over_processes(self._accelerator, [flat])
        return float(flat.norm())

    def _wants_norms(self) -> bool:
        return self.weighing.balancer.needs_gradient_norms


def shares_of_step(weights: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How much of each task's gradient is in a step, where its draws count alike: 0 for one without the task.

    Args:
        weights: Of the tasks in each draw.
    """
    total: dict[str, float] = {}
    for draw in weights:
        for name, weight in draw.items():
            total[name] = total.get(name, 0.0) + weight / len(weights)
    return total


def means(values: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each name's values over the mappings that have it."""
    collected: dict[str, list[float]] = {}
    for mapping in values:
        for name, value in mapping.items():
            collected.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in collected.items()}
