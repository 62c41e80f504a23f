"""Sluice networks: columns whose layers have two subspaces, mixed across tasks and across layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.sharing.base import SharingLayer
from training.sharing.cross_stitch import convex_start, mixed
from training.sharing.towers import TowerShape

SUBSPACES = 2


class Sluice(SharingLayer):
    """A column for each task; α mixes the 2K halves of every layer, β mixes a task's layers.

    Ruder et al. 2019, https://arxiv.org/abs/1705.08142. A layer's output is cut in two halves; its α, a
    ``2K × 2K`` matrix, mixes the halves of all tasks; a task's next layer reads its two mixed halves. What
    a task gives is ``Σ_l β_l · h̃_l`` over its layers. The penalty ``Σ ‖G₁ᵀG₂‖²_F`` over the weights of each
    layer's two halves keeps them apart: it is zero if and only if every feature of one half is orthogonal to
    every one of the other.

    Args:
        tasks: Names of the tasks.
        shape: Of a column; all layers of one, even width, as β adds them up.
        own: Where the diagonal of each α, and β of the last layer, start; the rest is spread evenly.
        penalty: Factor of the penalty.
        rate_factor: Of the learning rate of α and β.
    """

    refuses_tasks = "it mixes the columns of every task"

    def __init__(
        self, tasks: Sequence[str], shape: TowerShape, *, own: float, penalty: float, rate_factor: float
    ) -> None:
        super().__init__(tasks, shape.out_features)
        if shape.out_features % SUBSPACES or len(set(shape.widths)) > 1:
            raise ValueError(f"a sluice's layers have one, even width, found {list(shape.widths)}")
        depth = len(shape.widths)
        self.mixing_rate_factor = rate_factor
        self._penalty = penalty
        self.columns = nn.ModuleDict({task: nn.ModuleList(shape.layers()) for task in tasks})
        self.subspace_mixes = nn.ParameterList(
            nn.Parameter(convex_start(SUBSPACES * len(tasks), own)) for _ in range(depth)
        )
        self.layer_mixes = nn.ParameterList(nn.Parameter(convex_start(depth, own)[-1].clone()) for _ in tasks)

    def forward(self, features: Tensor, task: str) -> Tensor:
        """Shape ``(…, out_features)``."""
        number, last = self.tasks.index(task), len(self.subspace_mixes) - 1
        inputs, kept = [features] * len(self.tasks), []
        for depth, mix in enumerate(self.subspace_mixes):
            halves = self._halves(inputs, depth)
            wanted = [number] if depth == last else range(len(self.tasks))
            outputs = {each: _whole(mix, halves, each) for each in wanted}
            kept.append(outputs[number])
            inputs = list(outputs.values())
        return mixed(self.layer_mixes[number], torch.stack(kept))

    def penalty(self) -> Tensor | None:
        """``penalty · Σ ‖G₁ᵀG₂‖²_F`` over all layers of all columns."""
        weights = [
            module.weight for column in self.columns.values() for module in column.modules()
            if isinstance(module, nn.Linear)
        ]  # fmt: skip
        terms = torch.stack([orthogonality_penalty(weight) for weight in weights])
        weighed: Tensor = self._penalty * terms.sum()
        return weighed

    def describe(self, task: str) -> str:
        """``sluice (3 columns of 2 layers)``."""
        return f"sluice ({len(self.columns)} columns of {len(self.subspace_mixes)} layers)"

    def mixing_parameters(self) -> list[nn.Parameter]:
        """Every α and β."""
        return [*self.subspace_mixes, *self.layer_mixes]

    def _halves(self, inputs: list[Tensor], depth: int) -> Tensor:
        """Both halves of every column's layer, column by column. Shape ``(2K, …, width / 2)``."""
        layers = [column[depth] for column in self.columns.values()]  # type: ignore[index]
        outputs = [layer(each) for layer, each in zip(layers, inputs, strict=True)]
        return torch.stack([half for output in outputs for half in output.chunk(SUBSPACES, dim=-1)])


def _whole(mix: Tensor, halves: Tensor, number: int) -> Tensor:
    """A task's two mixed halves, side by side. Shape ``(…, width)``."""
    own = mix[SUBSPACES * number : SUBSPACES * (number + 1)]
    return torch.cat(mixed(own, halves).unbind(dim=0), dim=-1)


def orthogonality_penalty(weight: Tensor) -> Tensor:
    """``‖G₁ᵀG₂‖²_F`` of a layer's two halves.

    Args:
        weight: Of a linear layer; its rows are output features. Shape ``(out_features, in_features)``.
    """
    first, second = weight.chunk(SUBSPACES, dim=0)
    return (first @ second.T).square().sum()
