"""One network for all tasks: told nothing of the task (hard sharing), or told which one it is."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.sharing.base import SharingLayer
from training.sharing.towers import TowerShape


class SharedBottom(SharingLayer):
    """Hard sharing: one network that every task reads (Caruana 1997). What the other layers are measured by.

    Args:
        tasks: Names of the tasks.
        shape: Of the network.
    """

    name = "shared_bottom"

    def __init__(self, tasks: Sequence[str], shape: TowerShape) -> None:
        super().__init__(tasks, shape.out_features)
        self.trunk = shape.build()

    def forward(self, features: Tensor, task: str) -> Tensor:
        """Shape ``(…, out_features)``."""
        shared: Tensor = self.trunk(self.condition(features, task))
        return shared

    def condition(self, features: Tensor, task: str) -> Tensor:
        """What the network reads: the features alone."""
        return features

    def describe(self, task: str) -> str:
        """Its name."""
        return self.name


class OneHot(SharedBottom):
    """The network reads ``[h; 1_k]``: the features with the task's number as a one-hot vector.

    Args:
        tasks: Names of the tasks; their order is the vector's.
        shape: Of the network; it gets an input more for each task.
    """

    name = "one_hot"
    refuses_tasks = "its shared network has an input for each task"

    def __init__(self, tasks: Sequence[str], shape: TowerShape) -> None:
        wider = TowerShape(
            in_features=shape.in_features + len(tasks), widths=shape.widths, dropout=shape.dropout
        )
        super().__init__(tasks, wider)

    def condition(self, features: Tensor, task: str) -> Tensor:
        """Shape ``(…, in_features + num_tasks)``."""
        number = torch.tensor(self.tasks.index(task), device=features.device)
        code = functional.one_hot(number, len(self.tasks)).to(features.dtype)
        return torch.cat([features, code.expand(*features.shape[:-1], -1)], dim=-1)


class Modulated(SharedBottom):
    """The network reads ``γ_k ⊙ h + β_k`` with vectors of the task's own: FiLM, or one half of it.

    Perez et al. 2018, https://arxiv.org/abs/1709.07871, with the task as the condition. It starts as hard
    sharing: γ at one, β at zero.

    Args:
        tasks: Names of the tasks.
        shape: Of the network.
        scales: Whether there is a γ.
        shifts: Whether there is a β.
    """

    def __init__(self, tasks: Sequence[str], shape: TowerShape, *, scales: bool, shifts: bool) -> None:
        super().__init__(tasks, shape)
        self.name = {(True, True): "film", (True, False): "multiplicative"}.get((scales, shifts), "additive")
        self.modulations = nn.ModuleDict(
            {task: _Modulation(shape.in_features, scales=scales, shifts=shifts) for task in tasks}
        )

    def condition(self, features: Tensor, task: str) -> Tensor:
        """Shape of the features kept."""
        modulated: Tensor = self.modulations[task](features)
        return modulated


class _Modulation(nn.Module):
    def __init__(self, width: int, *, scales: bool, shifts: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width)) if scales else None
        self.shift = nn.Parameter(torch.zeros(width)) if shifts else None

    def forward(self, features: Tensor) -> Tensor:
        if self.scale is not None:
            features = features * self.scale
        return features if self.shift is None else features + self.shift
