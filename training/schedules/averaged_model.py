"""A model whose averaged weights are evaluated and saved, while training goes on from its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch import nn

from training.schedules.averaging import WeightAverage, Weights, with_weights


class AveragedModel:
    """Lends a model its average.

    A checkpoint written meanwhile holds the averaged weights; the model's own are part of the saved state,
    from which a resumed run goes on.

    Args:
        model: Whose weights are averaged.
        average: Of them.
    """

    def __init__(self, model: nn.Module, average: WeightAverage) -> None:
        self._model = model
        self._average = average
        self._own: Weights = {}

    def end_step(self) -> None:
        """After an optimizer step."""
        self._average.end_step(self._model)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """The model has the average inside, and its own weights again afterwards."""
        self._average.begin_evaluation(self._model)
        weights = self._average.weights()
        parameters = dict(self._model.named_parameters())
        self._own = {name: parameters[name].detach().clone() for name in weights}
        with with_weights(self._model, weights):
            yield
        self._own = {}

    def state_dict(self) -> dict[str, Any]:
        """The average, and the model's own weights while the average is lent."""
        return {"average": self._average.state_dict(), "own": self._own}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place: the model gets its own weights back."""
        parameters = dict(self._model.named_parameters())
        device = next(iter(parameters.values())).device  # a saved state is read to the CPU
        self._average.load_state_dict(send_to_device(state["average"], device))
        for name, weight in state["own"].items():
            parameters[name].copy_(weight)
