"""A tower for each task, joined with others' towers: asymmetric and customised sharing."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from training.sharing.base import SHARED, SharingLayer
from training.sharing.towers import TowerShape

FUSIONS: Mapping[str, Callable[[list[Tensor]], Tensor]] = {
    "concat": lambda towers: torch.cat(towers, dim=-1),
    "sum": lambda towers: torch.stack(towers).sum(dim=0),
    "mean": lambda towers: torch.stack(towers).mean(dim=0),
}
"""How towers' outputs become one vector: the "common fusion operations" of Tang et al. 2020, §3."""


class FusedTowers(SharingLayer):
    """Each task reads its own tower and those that it is said to read.

    Args:
        tasks: Names of the tasks.
        shape: Of a tower.
        reads: Task → owners of the towers that it reads beside its own, in order.
        owners: Who has a tower.
        fusion: One of ``FUSIONS``.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        shape: TowerShape,
        *,
        reads: Mapping[str, Sequence[str]],
        owners: Sequence[str],
        fusion: str,
    ) -> None:
        super().__init__(tasks, shape.out_features)
        self._fusion = fusion
        self.reads = {task: (task, *reads.get(task, ())) for task in tasks}
        self.towers = nn.ModuleDict({owner: shape.build() for owner in owners})

    def forward(self, features: Tensor, task: str) -> Tensor:
        """Shape ``(…, out_features(task))``."""
        outputs = [self.towers[owner](features) for owner in self.reads[task]]
        return outputs[0] if len(outputs) == 1 else FUSIONS[self._fusion](outputs)

    def out_features(self, task: str) -> int:
        """Width of a tower; of several side by side, their sum."""
        return self._width * (len(self.reads[task]) if self._fusion == "concat" else 1)


class AsymmetricSharing(FusedTowers):
    """A task's tower is read by other tasks too, as declared.

    Tang et al. 2020, https://doi.org/10.1145/3383313.3412236, §3, fig. 1b.

    Args:
        tasks: Names of the tasks.
        shape: Of a tower.
        reads: Task → tasks whose towers it reads beside its own.
        fusion: One of ``FUSIONS``.
    """

    def __init__(
        self, tasks: Sequence[str], shape: TowerShape, *, reads: Mapping[str, Sequence[str]], fusion: str
    ) -> None:
        super().__init__(tasks, shape, reads=reads, owners=tasks, fusion=fusion)

    def describe(self, task: str) -> str:
        """``own tower + towers of quality, price (concat)``."""
        _, *others = self.reads[task]
        return f"own tower + towers of {', '.join(others)} ({self._fusion})" if others else "own tower"


class CustomisedSharing(FusedTowers):
    """A tower of the task's own beside one that all share.

    Tang et al. 2020, §3, fig. 1c, concatenates the two.

    Args:
        tasks: Names of the tasks.
        shape: Of a tower.
        fusion: One of ``FUSIONS``.
    """

    def __init__(self, tasks: Sequence[str], shape: TowerShape, *, fusion: str) -> None:
        super().__init__(
            tasks, shape, reads=dict.fromkeys(tasks, (SHARED,)), owners=(*tasks, SHARED), fusion=fusion
        )

    def describe(self, task: str) -> str:
        """``own tower + shared tower (concat)``."""
        return f"own tower + shared tower ({self._fusion})"
