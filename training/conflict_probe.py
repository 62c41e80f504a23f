"""Gradient conflict measured in the same way in every run: on the same examples, without dropout."""

from collections.abc import Mapping

import torch
from torch import Tensor

from training.batches import collate
from training.conflict import pairwise
from training.examples import EncodedExamples, evenly
from training.model import MultitaskModel
from training.tasks import Task


class ConflictProbe:
    """Measures the cosines between the tasks' gradients of the shared parameters.

    Args:
        model: Whose gradients.
        tasks: By name.
        examples: Of each task, to learn from; evenly spaced ones are taken.
        batch_size: Examples of each task.
    """

    def __init__(
        self,
        model: MultitaskModel,
        tasks: Mapping[str, Task],
        examples: Mapping[str, EncodedExamples],
        *,
        batch_size: int,
    ) -> None:
        self._model = model
        self._tasks = tasks
        self._batches = {
            name: collate(data, evenly(len(data), batch_size), pad_token_id=model.encoder.pad_token_id)
            for name, data in examples.items()
        }

    def measure(self) -> dict[tuple[str, str], float]:
        """Cosine of each pair of tasks. The model is left in the mode it was in, without gradients."""
        was_training = self._model.training
        self._model.eval()
        rows = torch.stack([self._gradient(name) for name in self._tasks])
        self._model.train(was_training)
        return pairwise(list(self._tasks), rows @ rows.T)

    def _gradient(self, name: str) -> Tensor:
        shared = self._model.shared_parameters
        batch = self._batches[name].to(shared[0].device)
        loss = self._tasks[name].kind.loss(self._model(name, batch.inputs).float(), batch)
        found = torch.autograd.grad(loss, shared, allow_unused=True, materialize_grads=True)
        return torch.cat([gradient.flatten() for gradient in found])
