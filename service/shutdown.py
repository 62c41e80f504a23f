"""SIGTERM ends the process within a bound, whatever its clients do.

uvicorn finishes the requests under way, but for as long as they take, and BentoML's process manager would
wait a day for it.
"""

import math
import signal
from types import FrameType

import uvicorn

from service.lifecycle import Lifecycle


def bound_shutdown(lifecycle: Lifecycle, *, drain_s: float) -> None:
    """Turn readiness off with the signal, and let uvicorn cut off what is not done in time.

    Call it in the main thread of a running server; elsewhere (an in-process service) it does nothing.

    Args:
        lifecycle: Of this process.
        drain_s: Seconds that requests under way may take.
    """
    handler = signal.getsignal(signal.SIGTERM)
    server = getattr(handler, "__self__", None)
    if not isinstance(server, uvicorn.Server):
        return
    server.config.timeout_graceful_shutdown = math.ceil(drain_s)

    def drain(number: int, frame: FrameType | None) -> None:
        lifecycle.drain()
        server.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, drain)
