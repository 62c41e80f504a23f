"""The gradient of the weighted sum: one backward pass a draw."""

from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training.balancing import LossWeighing
from training.gradients.base import Draw, GradientStep, StepReport, means, shares_of_step
from training.gradients.processes import sum_over_processes


class SummedGradients(GradientStep):
    """``∇ Σ w_i L_i`` with the balancer's weights.

    Args:
        parameters: All that train.
        weighing: Weighs the losses of each draw.
        accelerator: As in ``GradientStep``.
        last_layer: As in ``GradientStep``.
        seed: Of the whole run.
    """

    def __init__(
        self,
        *,
        parameters: Sequence[nn.Parameter],
        weighing: LossWeighing,
        accelerator: Accelerator,
        last_layer: Sequence[nn.Parameter],
        seed: int,
    ) -> None:
        super().__init__(weighing=weighing, accelerator=accelerator, last_layer=last_layer, seed=seed)
        self._parameters = list(parameters)

    def __call__(self, draws: Sequence[Draw], *, step: int) -> StepReport:
        """Leave the mean gradient of the draws in ``.grad``."""
        losses, weights = [], []
        for number, draw in enumerate(draws):
            graphs = {name: compute() for name, compute in draw.items()}
            values = self._everywhere(graphs)
            if self._wants_norms():
                self._norms.append({name: self._measure_norm(loss) for name, loss in graphs.items()})
            found = self._weigh(values, step, number)
            self._accelerator.backward(_weighted_sum(graphs, found))
            losses.append(values)
            weights.append(found)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        sum_over_processes(self._accelerator, gradients)
        self._losses = means(losses)
        return StepReport(losses=self._losses, weights=shares_of_step(weights))


def _weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
