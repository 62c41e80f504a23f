"""The admin API's own port: a second uvicorn server in the worker's loop, by default on the loopback."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

logger = logging.getLogger("bentoml.encodeonce")

GRACE_S = 2
"""Seconds that admin requests under way get at the end: the service's own were waited for before."""


class AdminListenError(Exception):
    """The address cannot be listened on. The message says why, and what to set."""


def open_socket(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Raises:
        AdminListenError: If it is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise AdminListenError(
            f"The admin API cannot listen on {host} port {port}: {error.strerror}. Each service on a machine "
            "needs an admin port of its own, and has one worker. Expected a free port in "
            "ENCODEONCE_ADMIN_PORT, or `main` for the service's own."
        ) from None


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process' signals to the server in front."""
        yield


class AdminListener:
    """Serves an application until it is closed."""

    def __init__(self, app: ASGIApp, opened: socket.socket) -> None:
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[opened]))
        host, port = opened.getsockname()[:2]
        logger.info("The admin API listens on %s port %d", host, port)

    async def close(self) -> None:
        """Take no further connections, and end those there are."""
        self._server.should_exit = True
        await self._serving
