"""Whether the service may answer. Made at import, filled at start: the application only ever sees this."""

from enum import StrEnum
from typing import TYPE_CHECKING

from service.errors import NotReady

if TYPE_CHECKING:  # the arbiter imports this module; numpy and ONNX Runtime are for the worker
    from service.assembly import Runtime


class Phase(StrEnum):
    """A service only moves forward through these."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Lifecycle:
    """The phase, and the runtime while there is one to use."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self._runtime: Runtime | None = None

    @property
    def runtime(self) -> "Runtime":
        """What answers requests.

        Raises:
            NotReady: Before the start is complete, and while draining.
        """
        if self.phase is not Phase.READY or self._runtime is None:
            raise NotReady(f"The service is {self.phase.value}. Try another replica, or again in a moment.")
        return self._runtime

    @property
    def loaded_runtime(self) -> "Runtime | None":
        """The runtime in any phase, for the metrics."""
        return self._runtime

    def get_ready(self, runtime: "Runtime") -> None:
        """Open the doors."""
        self._runtime = runtime
        self.phase = Phase.READY

    def drain(self) -> None:
        """Take no further requests."""
        self.phase = Phase.DRAINING
