"""When to try again, and how long to wait before. Pure, but for the jitter."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

RETRIED = frozenset({429, 503})
"""Refused before any work was done. 504 is not among them: the time that was asked for is over."""

BROKEN = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError, httpx.ProxyError)
"""Connections that broke or did not come about. One that is silent until the time is over is not among them,
as 504 is not; nor is what would fail again, such as an address without ``http://``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Exponential back-off with full jitter, and at least what ``Retry-After`` asks for.

    Predictions change nothing on the server, so a broken connection is tried again, too.
    """

    attempts: int = 5
    """In all; 1 switches retries off."""
    base_s: float = 0.25
    max_pause_s: float = 30.0
    """A server that asks for a longer pause is not waited for."""
    draw: Callable[[], float] = field(default=random.random, repr=False)
    """Uniform in [0, 1)."""

    def pause_s(self, attempt: int, *, retry_after_s: float | None = None) -> float | None:
        """Seconds to wait after a failed attempt; None to give up.

        Args:
            attempt: How many there were, from 1.
            retry_after_s: What the server asked for.
        """
        if attempt >= self.attempts or (retry_after_s or 0.0) > self.max_pause_s:
            return None
        backoff_s = self.draw() * min(self.max_pause_s, self.base_s * 2.0 ** (attempt - 1))
        # Everybody was told the same second: they should not come back in the same instant.
        return backoff_s + (retry_after_s or 0.0)


def parse_retry_after(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header. A date is left aside: clocks differ."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None
