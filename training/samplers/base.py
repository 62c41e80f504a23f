"""What every sampler promises to the loop."""

from collections.abc import Mapping
from typing import Any, Protocol


class Sampler(Protocol):
    """Draws the tasks of one backward pass.

    The draws depend on the seed and on what was drawn before alone, never on a process's rank: several
    processes that start from the same seed draw the same tasks in the same step.
    """

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Share of the coming draws that each task is in, as far as it is known now."""
        ...

    def draw(self) -> tuple[str, ...]:
        """Names of the tasks whose losses are combined in one backward pass."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything the next draw depends on, as JSON."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place: the next draw is the one that would have come."""
        ...
