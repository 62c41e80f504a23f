"""GradNorm."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from training.balancing.base import Balancer, Losses, StepObservation, Weights

MIN_WEIGHT = 1e-3


def gradnorm_loss(weights: Tensor, norms: Tensor, rates: Tensor, alpha: float) -> Tensor:
    """``L_gn = Σ_i |G_i − Ḡ·r_i^α|`` with ``G_i = w_i·‖∇_W L_i‖``; differentiable in ``w`` alone.

    The target ``Ḡ·r_i^α`` is a constant, as the paper wants. ``‖∇_W w_i L_i‖ = w_i·‖∇_W L_i‖`` for a weight
    above 0, so no second-order graph is needed.

    Args:
        weights: ``w``. Shape ``(num_tasks,)``.
        norms: ``‖∇_W L_i‖``. Same shape.
        rates: ``r_i``, relative inverse training rates. Same shape.
        alpha: α ≥ 0: how strongly slow tasks are pulled along. 0 asks for equal norms.
    """
    scaled = weights * norms
    target = scaled.detach().mean() * rates**alpha
    return (scaled - target).abs().sum()


class GradNorm(Balancer):
    """Learns weights that make the tasks train at similar rates.

    Chen et al. 2018, https://arxiv.org/abs/1711.02257, algorithm 1: ``W`` is the last shared layer,
    ``r_i = (L_i / L_i(0)) / mean_j(L_j / L_j(0))``, and after each step the weights are scaled to sum to the
    number of tasks. ``L_i(0)`` is the mean of the first steps' losses, since a single batch's is noisy; until
    then the weights are 1. They are kept above 0.001.

    Args:
        tasks: Names.
        alpha: α.
        learning_rate: Of the weights' Adam.
        initial_steps: Steps that ``L_i(0)`` is the mean of.
    """

    needs_every_task = True
    needs_gradient_norms = True

    def __init__(
        self, tasks: Sequence[str], *, alpha: float, learning_rate: float, initial_steps: int = 10
    ) -> None:
        self._tasks = list(tasks)
        self._alpha = alpha
        self._initial_steps = initial_steps
        self._steps = 0
        self._initial = torch.zeros(len(self._tasks), dtype=torch.float64)
        self._weights = torch.ones(len(self._tasks), dtype=torch.float64, requires_grad=True)
        self._optimizer = Adam([self._weights], lr=learning_rate)

    def weigh(self, losses: Losses) -> Weights:
        """``w``."""
        present = dict(zip(self._tasks, self._weights.tolist(), strict=True))
        return {name: present[name] for name in losses}

    def end_step(self, step: StepObservation) -> None:
        """Move the weights towards equal training rates."""
        losses = torch.tensor([step.losses[name] for name in self._tasks], dtype=torch.float64)
        norms = torch.tensor([step.gradient_norms[name] for name in self._tasks], dtype=torch.float64)
        self._steps += 1
        if self._steps <= self._initial_steps:
            self._initial += losses / self._initial_steps
            return
        progress = losses / self._initial.clamp_min(torch.finfo(torch.float64).tiny)
        rates = progress / progress.mean().clamp_min(torch.finfo(torch.float64).tiny)
        self._optimizer.zero_grad()
        loss = gradnorm_loss(self._weights, norms, rates, self._alpha)
        (self._weights.grad,) = torch.autograd.grad(loss, self._weights)
        self._optimizer.step()
        with torch.no_grad():
            self._weights.clamp_(min=MIN_WEIGHT)
            self._weights.mul_(len(self._tasks) / self._weights.sum())

    def state_dict(self) -> dict[str, Any]:
        """Weights, their optimizer, and the initial losses."""
        return {
            "weights": self._weights.detach().clone(),
            "optimizer": self._optimizer.state_dict(),
            "initial": self._initial,
            "steps": self._steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        with torch.no_grad():
            self._weights.copy_(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._initial, self._steps = state["initial"].clone(), state["steps"]
