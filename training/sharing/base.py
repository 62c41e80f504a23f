"""What every sharing layer is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

SHARED = "_shared"
"""Owner of what belongs to all tasks; no task's name starts with ``_``."""


class SharingLayer(nn.Module, ABC):
    """Stands between the encoder's output and the heads: features → one task's features.

    It acts on the last axis, so it takes pooled vectors ``(batch_size, in_features)``, a vector for each
    encoder layer, and token states ``(rows, row_len, in_features)`` alike. It sees the encoder's output
    alone, which therefore stays one for all tasks.

    Args:
        tasks: Names of the tasks that share.
        width: Of a task's features.
    """

    refuses_tasks: str | None = None
    """Why a task cannot join a trained layer without changing what the others answer; None where it can."""
    mixing_rate_factor: float = 1.0
    """Of ``mixing_parameters``'s learning rate."""

    def __init__(self, tasks: Sequence[str], width: int) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self._width = width

    @abstractmethod
    def forward(self, features: Tensor, task: str) -> Tensor:
        """Compute what one task needs, and no more.

        Args:
            features: Shape ``(…, in_features)``.
            task: Its name.

        Returns:
            Shape ``(…, out_features(task))``.
        """

    @abstractmethod
    def describe(self, task: str) -> str:
        """The task's path for people: ``mmoe (4 experts)``."""

    def out_features(self, task: str) -> int:
        """Width of a task's features."""
        return self._width

    def penalty(self) -> Tensor | None:
        """What is added to the loss of every step, weighed; a scalar, or None."""
        return None

    def mixing_parameters(self) -> list[nn.Parameter]:
        """Parameters that mix others' outputs: not decayed, and with a learning rate of their own."""
        return []
