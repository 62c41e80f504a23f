"""A head behind its task's path through a sharing layer, and which parameters each task's path uses."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from training.sharing.base import SharingLayer

SEGMENT_IDS = "segment_ids"
"""The one input of heads that is no vector."""


class SharedPath(nn.Module):
    """A head that reads what a sharing layer gives for its task: of one vector, of both of a pair, of tokens.

    Args:
        layer: Shared with other tasks' paths.
        task: Whose path.
        head: As ``training.heads.Head`` describes.
    """

    def __init__(self, layer: SharingLayer, task: str, head: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.task = task
        self.head = head
        self.input_names: tuple[str, ...] = head.input_names  # type: ignore[assignment]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Shape of the head's logits."""
        logits: Tensor = self.head(
            *(
                given if name == SEGMENT_IDS else self.layer(given, self.task)
                for name, given in zip(self.input_names, inputs, strict=True)
            )
        )
        return logits


def users_of(layer: SharingLayer, *, in_features: int) -> Mapping[str, frozenset[str]]:
    """Which tasks use each parameter of a layer, found by following each task's result back to them.

    Args:
        layer: With trainable parameters.
        in_features: Width of what it reads.

    Returns:
        By the parameters' names in the layer.
    """
    names, parameters = zip(*layer.named_parameters(), strict=True)
    device = parameters[0].device
    users: dict[str, set[str]] = {name: set() for name in names}
    with torch.enable_grad():
        for task in layer.tasks:
            result = layer(torch.zeros(1, in_features, device=device), task)
            found = torch.autograd.grad(result.sum(), parameters, allow_unused=True)
            for name, gradient in zip(names, found, strict=True):
                if gradient is not None:
                    users[name].add(task)
    return {name: frozenset(tasks) for name, tasks in users.items()}
