"""Task gradients kept apart and combined by an aggregator."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torchjd.aggregation import Aggregator

from training.aggregation import TaskGradients, combine, recall, remember
from training.balancing import LossWeighing
from training.conflict import pairwise
from training.gradients.base import Draw, GradientStep, StepReport, means, shares_of_step
from training.gradients.processes import sum_over_processes
from training.seeding import seeded


class CombinedGradients(GradientStep):
    """``A(J)`` for the shared parameters, each task's own weighted gradient for those that it has alone.

    One forward and one backward pass for each task of a draw, one after the other, so that a single task's
    graph is in memory at a time. The losses are weighed once a step, by their means; since gradients are
    linear, the weights are applied to the finished rows. The order then is: sum over the processes, undo the
    loss scale of fp16, weigh, combine. The result is scaled again, for the gradient scaler to find overflows
    and undo.

    Args:
        shared: Parameters that the tasks have in common.
        own: The other parameters, of each task.
        users: Which tasks use a shared parameter; all use one that is not named.
        aggregator: Combines the rows.
        keep_zero_rows: Whether the aggregator remembers tasks by their row.
        weighing: Weighs the losses.
        accelerator: As in ``GradientStep``.
        last_layer: As in ``GradientStep``.
        seed: Of the whole run.
    """

    def __init__(
        self,
        *,
        shared: Sequence[nn.Parameter],
        own: Mapping[str, Sequence[nn.Parameter]],
        users: Mapping[nn.Parameter, Collection[str]] | None = None,
        aggregator: Aggregator,
        keep_zero_rows: bool,
        weighing: LossWeighing,
        accelerator: Accelerator,
        last_layer: Sequence[nn.Parameter],
        seed: int,
    ) -> None:
        super().__init__(weighing=weighing, accelerator=accelerator, last_layer=last_layer, seed=seed)
        self._rows = TaskGradients(shared, list(own), users=users)
        self._own = {name: list(parameters) for name, parameters in own.items()}
        self._aggregator = aggregator
        self._keep_zero_rows = keep_zero_rows

    def __call__(self, draws: Sequence[Draw], *, step: int) -> StepReport:
        """Leave the combined gradient of the shared parameters, and the heads' own, in ``.grad``."""
        losses = [self._backward(draw) for draw in draws]
        self._losses = means(losses)
        weights = self._weigh(self._losses, step, 0)
        tasks = self._rows.tasks
        matrix = self._rows.matrix
        sum_over_processes(self._accelerator, [matrix])
        scaler = self._accelerator.scaler
        scale = scaler.get_scale() if scaler is not None else 1.0
        matrix.mul_(torch.tensor([[weights[name] / scale] for name in tasks]).to(matrix))
        with seeded(self._seed, step, 1):
            combination = combine(self._aggregator, matrix, keep_zero_rows=self._keep_zero_rows)
        self._rows.write(combination.gradient * scale if scale != 1 else combination.gradient)
        self._scale_own(weights)
        self._rows.clear()
        combined = dict(zip(tasks, combination.weights.tolist(), strict=True))
        return StepReport(
            losses=self._losses,
            weights=shares_of_step(
                [{name: weights[name] * combined[name] for name in draw} for draw in draws]
            ),
            cosines=pairwise(tasks, combination.gramian),
        )

    def state_dict(self) -> dict[str, Any]:
        """What the aggregator remembers."""
        return remember(self._aggregator)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        recall(self._aggregator, state, device=self._rows.device)

    def _backward(self, draw: Draw) -> dict[str, float]:
        losses, norms = {}, {}
        for name, compute in draw.items():
            with self._rows.row(name):
                loss = compute()
                if self._wants_norms():
                    norms[name] = self._measure_norm(loss)
                self._accelerator.backward(loss)
            losses[name] = loss.detach()
        self._norms.append(norms)
        return self._everywhere(losses)

    @torch.no_grad()
    def _scale_own(self, weights: Mapping[str, float]) -> None:
        for name in self._rows.tasks:
            gradients = [p.grad for p in self._own[name] if p.grad is not None]
            sum_over_processes(self._accelerator, gradients)
            for gradient in gradients:
                gradient.mul_(weights[name])
