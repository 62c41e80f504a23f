"""Averages of a run's weights, which often generalise better than the last ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


class WeightAverage(Protocol):
    """An average that is fed as the run proceeds."""

    def end_step(self, model: nn.Module) -> None:
        """Look at the weights after an optimizer step."""
        ...

    def begin_evaluation(self, model: nn.Module) -> None:
        """Look at the weights before an evaluation, which is to be of the average."""
        ...

    def weights(self) -> Weights:
        """The average, by the parameters' names; of the trained ones alone."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything the average depends on."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        ...


class ExponentialAverage:
    """``θ̄ ← d·θ̄ + (1 − d)·θ`` after every step, with ``d = min(decay, (1 + t) / (10 + t))``.

    The smaller ``d`` of the first steps keeps the untrained weights from staying in the average.

    Args:
        decay: In (0, 1); 0.999 averages over about 1,000 steps.
    """

    def __init__(self, *, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self._average: Weights = {}

    @torch.no_grad()
    def end_step(self, model: nn.Module) -> None:
        """Average in the weights."""
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for name, weight in trained_weights(model).items():
            if name in self._average:
                self._average[name].lerp_(weight, 1 - decay)
            else:
                self._average[name] = weight.clone()

    def begin_evaluation(self, model: nn.Module) -> None:
        """Nothing to do."""

    def weights(self) -> Weights:
        """The average."""
        return self._average

    def state_dict(self) -> dict[str, Any]:
        """The average, and its steps."""
        return {"steps": self._steps, "average": self._average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._steps, self._average = state["steps"], {k: v.clone() for k, v in state["average"].items()}


class CheckpointAverage:
    """The mean of the weights at the last evaluations, as Vaswani et al. 2017 average their last checkpoints.

    Args:
        count: Evaluations to average over; fewer while there have been fewer.
    """

    def __init__(self, *, count: int) -> None:
        self._count = count
        self._kept: list[Weights] = []

    def end_step(self, model: nn.Module) -> None:
        """Nothing to do."""

    def begin_evaluation(self, model: nn.Module) -> None:
        """Keep the weights, and forget the oldest."""
        now = {name: weight.clone() for name, weight in trained_weights(model).items()}
        self._kept = [*self._kept, now][-self._count :]

    def weights(self) -> Weights:
        """The mean."""
        names = set(self._kept[-1]) if self._kept else set()
        return {
            name: torch.stack([kept[name] for kept in self._kept if name in kept]).mean(dim=0)
            for name in names
        }

    def state_dict(self) -> dict[str, Any]:
        """The weights kept."""
        return {"kept": self._kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._kept = [{k: v.clone() for k, v in kept.items()} for kept in state["kept"]]


def trained_weights(model: nn.Module) -> Weights:
    """The parameters that are not frozen, detached."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


@contextmanager
def with_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let the model have other weights inside."""
    parameters = dict(model.named_parameters())
    own = {name: parameters[name].detach().clone() for name in weights}
    _copy(parameters, weights)
    try:
        yield
    finally:
        _copy(parameters, own)


@torch.no_grad()
def _copy(parameters: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        parameters[name].copy_(weight)
