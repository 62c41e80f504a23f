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
    """Not ready for whoever routes traffic, who may take a while to notice: requests are still answered."""
    STOPPING = "stopping"
    """Requests are refused."""


class Lifecycle:
    """The phase, and the runtime while there is one to use."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self._runtime: Runtime | None = None

    @property
    def runtime(self) -> "Runtime":
        """What answers requests.

        Raises:
            NotReady: Before the start is complete, and once the service ends.
        """
        if self.phase not in (Phase.READY, Phase.DRAINING) or self._runtime is None:
            raise self._not_ready()
        return self._runtime

    async def check_ready(self) -> None:
        """Whether this replica should get requests.

        Raises:
            NotReady: Before the start is complete, while draining, and while encoder or head keep failing.
        """
        if self.phase is not Phase.READY:
            raise self._not_ready()
        await self.runtime.models.check()

    def _not_ready(self) -> NotReady:
        return NotReady(f"The service is {self.phase.value}. Try another replica, or again in a moment.")

    @property
    def loaded_runtime(self) -> "Runtime | None":
        """The runtime in any phase, for the metrics."""
        return self._runtime

    def get_ready(self, runtime: "Runtime") -> None:
        """Open the doors."""
        self._runtime = runtime
        self.phase = Phase.READY

    def drain(self) -> None:
        """Ask for no further requests, and answer those that come."""
        if self.phase is Phase.READY:
            self.phase = Phase.DRAINING

    def stop(self) -> None:
        """Take no further requests."""
        self.phase = Phase.STOPPING
