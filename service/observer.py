"""What the engine tells whoever counts. Keeps the metrics library out of the engine."""

from collections.abc import Sequence
from typing import Protocol

from service.encoding import BatchSize
from service.shared_encoder import Lookup


class Observer(Protocol):
    """Told about work as it happens; must not block."""

    def saw_batch(self, size: BatchSize) -> None:
        """An encoder batch ran. Called from the encoder's thread."""

    def saw_lookups(self, task: str, lookups: Sequence[Lookup]) -> None:
        """A request looked up these sequences for a task."""
