"""Soft sharing: towers of their own, kept near each other by a penalty."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.sharing.base import SharingLayer
from training.sharing.towers import TowerShape


class SoftSharing(SharingLayer):
    """A tower for each task, with the mean constraint ``(λ/K) Σ_k ‖θ_k − θ̄‖²`` on the towers' parameters.

    Evgeniou and Pontil 2004, https://doi.org/10.1145/1014052.1014067: the tasks' models are small deviations
    from their mean. The towers start equal, so the penalty starts at zero. When served, a task needs its own
    tower alone.

    Args:
        tasks: Names of the tasks.
        shape: Of a tower.
        penalty: λ.
    """

    def __init__(self, tasks: Sequence[str], shape: TowerShape, *, penalty: float) -> None:
        super().__init__(tasks, shape.out_features)
        self._penalty = penalty
        self.towers = nn.ModuleDict({task: shape.build() for task in tasks})
        first = self.towers[self.tasks[0]].state_dict()
        for tower in self.towers.values():
            tower.load_state_dict(first)

    def forward(self, features: Tensor, task: str) -> Tensor:
        """Shape ``(…, out_features)``."""
        own: Tensor = self.towers[task](features)
        return own

    def penalty(self) -> Tensor:
        """The mean constraint over all towers."""
        towers = [nn.utils.parameters_to_vector(tower.parameters()) for tower in self.towers.values()]
        together = torch.stack(towers)
        return self._penalty * (together - together.mean(dim=0)).square().sum() / len(towers)

    def describe(self, task: str) -> str:
        """``own tower, kept near the others'``."""
        return "own tower, kept near the others'"
