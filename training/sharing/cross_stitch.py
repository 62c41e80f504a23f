"""A column of layers for each task, with learned mixing between them: cross-stitch networks.

What a mixing unit of K tasks gives for one depends on all, so a task computes every column.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.sharing.base import SharingLayer
from training.sharing.towers import TowerShape


def convex_start(size: int, own: float) -> Tensor:
    """A mixing matrix whose rows sum to one: ``own`` on the diagonal, the rest spread evenly.

    Args:
        size: Rows and columns.
        own: Share of what is mixed from the same place; all of it where there is no other.
    """
    if size == 1:
        return torch.ones(1, 1)
    others = (1 - own) / (size - 1)
    return torch.full((size, size), others).fill_diagonal_(own)


def mixed(weights: Tensor, outputs: Tensor) -> Tensor:
    """Weighted sums of what stands behind each other.

    Args:
        weights: Shape ``(count,)``, or ``(sums, count)`` for several.
        outputs: Shape ``(count, …)``; under autocast of half the weights' precision.

    Returns:
        Shape ``(…)``, or ``(sums, …)``.
    """
    sums: Tensor = torch.tensordot(weights.to(outputs.dtype), outputs, dims=1)
    return sums


class CrossStitch(SharingLayer):
    """``x̃_i = Σ_j α_ij · x_j`` behind every layer of the columns.

    Misra et al. 2016, https://arxiv.org/abs/1604.03539: α starts convex (0.9 and 0.1) and learns at a rate of
    its own, much larger than the layers'. (LibMTL starts with ones everywhere.)

    Args:
        tasks: Names of the tasks.
        shape: Of a column.
        own: Where the diagonal of each α starts.
        rate_factor: Of α's learning rate.
    """

    refuses_tasks = "its stitches mix the columns of every task"

    def __init__(self, tasks: Sequence[str], shape: TowerShape, *, own: float, rate_factor: float) -> None:
        super().__init__(tasks, shape.out_features)
        self.mixing_rate_factor = rate_factor
        self.columns = nn.ModuleDict({task: nn.ModuleList(shape.layers()) for task in tasks})
        self.stitches = nn.ParameterList(nn.Parameter(convex_start(len(tasks), own)) for _ in shape.widths)

    def forward(self, features: Tensor, task: str) -> Tensor:
        """Shape ``(…, out_features)``."""
        last = len(self.stitches) - 1
        rows = [features] * len(self.tasks)
        for depth, stitch in enumerate(self.stitches):
            outputs = torch.stack(
                [column[depth](row) for column, row in zip(self.columns.values(), rows, strict=True)]  # type: ignore[index]
            )
            wanted = [self.tasks.index(task)] if depth == last else range(len(self.tasks))
            rows = [mixed(stitch[number], outputs) for number in wanted]
        return rows[0]

    def describe(self, task: str) -> str:
        """``cross_stitch (3 columns of 2 layers)``."""
        return f"cross_stitch ({len(self.columns)} columns of {len(self.stitches)} layers)"

    def mixing_parameters(self) -> list[nn.Parameter]:
        """Every α."""
        return list(self.stitches)
