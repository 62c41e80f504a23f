"""TorchJD's scalarizers as balancers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torchjd.scalarization import FAMO, Scalarizer

from training.balancing.base import Balancer, Losses, StepObservation, Weights

LOSS_FLOOR = 1e-8
"""A loss of zero has no logarithm, and several methods take one."""
LOG_LIMIT = math.log(1e3)
"""Of learned log-scales: a loss near zero would send its task's weight to infinity."""


class ScalarizerBalancer(Balancer):
    """One scalarizer over the losses of all tasks.

    Args:
        tasks: Names, in the order of the scalarizer's values.
        scalarizer: Without parameters to learn.
    """

    needs_every_task = True

    def __init__(self, tasks: Sequence[str], scalarizer: Scalarizer) -> None:
        self._tasks = list(tasks)
        self._scalarizer = scalarizer

    def weigh(self, losses: Losses) -> Weights:
        """``∂S/∂L_i``."""
        values = _leaf([losses[name] for name in self._tasks])
        self._scalarizer(values).backward()
        return dict(zip(self._tasks, _gradient(values), strict=True))


class LearnedScaleBalancer(Balancer):
    """A separable scalarizer with one learned number a task: a scalarizer of its own for each.

    So a task that is not in the step is left alone. TorchJD's scalarizers over all tasks would see a loss of
    0 and learn from it. The numbers have an optimizer of their own: Adam without weight decay (which would
    pull log-scales to 0), at a constant rate that neither schedule nor gradient clipping touches.

    Args:
        tasks: Names.
        build: A scalarizer of one value.
        learning_rate: Of the learned numbers.
    """

    def __init__(
        self, tasks: Sequence[str], build: Callable[[int], Scalarizer], *, learning_rate: float
    ) -> None:
        self._scalarizers = nn.ModuleDict({name: build(1) for name in tasks})
        self._optimizer = Adam(self._scalarizers.parameters(), lr=learning_rate)

    def weigh(self, losses: Losses) -> Weights:
        """``∂S/∂L_i``; the learned numbers' own gradients add up until the step ends."""
        weights = {}
        for name, loss in losses.items():
            value = _leaf([loss])
            self._scalarizers[name](value).backward()
            weights[name] = _gradient(value)[0]
        return weights

    def end_step(self, step: StepObservation) -> None:  # noqa: ARG002
        """Move the learned numbers of the step's tasks; the others have no gradient."""
        self._optimizer.step()
        self._optimizer.zero_grad()
        with torch.no_grad():
            for parameter in self._scalarizers.parameters():
                parameter.clamp_(-LOG_LIMIT, LOG_LIMIT)

    def state_dict(self) -> dict[str, Any]:
        """The learned numbers and their optimizer."""
        return {"scales": self._scalarizers.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._scalarizers.load_state_dict(state["scales"])
        self._optimizer.load_state_dict(state["optimizer"])


class FamoBalancer(Balancer):
    """FAMO (Liu et al. 2023, https://arxiv.org/abs/2306.03792), by TorchJD.

    Its weights follow how much each loss fell in the step, measured on the same batches: a second forward
    pass.

    Args:
        tasks: Names.
        learning_rate: Of the weights' logits.
        weight_decay: Of the logits.
    """

    needs_every_task = True
    needs_losses_after = True

    def __init__(self, tasks: Sequence[str], *, learning_rate: float, weight_decay: float) -> None:
        self._tasks = list(tasks)
        self._famo = FAMO(len(self._tasks), lr=learning_rate, weight_decay=weight_decay)

    def weigh(self, losses: Losses) -> Weights:
        """``∂S/∂L_i``."""
        values = _leaf([losses[name] for name in self._tasks])
        self._famo(values).backward()
        return dict(zip(self._tasks, _gradient(values), strict=True))

    def end_step(self, step: StepObservation) -> None:
        """Move the logits."""
        self._famo.update(_leaf([step.losses_after[name] for name in self._tasks]))

    def state_dict(self) -> dict[str, Any]:
        """The logits and their optimizer, which TorchJD makes at the first update."""
        optimizer = self._famo._optimizer
        return {
            "logits": self._famo.state_dict(),
            "optimizer": None if optimizer is None else optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._famo.load_state_dict(state["logits"])
        if state["optimizer"] is not None:
            famo = self._famo
            famo._optimizer = Adam([famo._w], lr=famo.lr, weight_decay=famo.weight_decay)
            famo._optimizer.load_state_dict(state["optimizer"])


def _leaf(losses: Sequence[float]) -> Tensor:
    return torch.tensor([max(loss, LOSS_FLOOR) for loss in losses], requires_grad=True)


def _gradient(values: Tensor) -> list[float]:
    assert values.grad is not None  # noqa: S101 - every scalarizer depends on its values
    weights: list[float] = values.grad.tolist()
    return weights
