"""Identical sequences that are asked for at the same time are encoded once.

A flight is one queued or running encoding and its waiters. It is cancelled only when the last waiter has
left, and an error ends with it: the next request tries again.
"""

import asyncio
from dataclasses import dataclass

from service.batching import QueueEntry
from service.encoding import Encoding


@dataclass(slots=True, kw_only=True, eq=False)
class Flight:
    """One encoding on its way."""

    entry: QueueEntry
    waiters: int = 0

    @property
    def future(self) -> asyncio.Future[Encoding]:
        """The result to wait for. Never cancel it; ``leave``."""
        return self.entry.future

    def join(self, *, deadline_s: float) -> None:
        """Wait along, until the given time."""
        self.waiters += 1
        self.entry.deadline_s = max(self.entry.deadline_s, deadline_s)

    def leave(self) -> None:
        """Wait no longer, with or without a result. The last one out cancels the work."""
        self.waiters -= 1
        if self.waiters == 0:
            self.entry.future.cancel()


class SingleFlight:
    """The flights under way, by sequence key."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def find(self, key: bytes) -> Flight | None:
        """The flight to join, if there is one."""
        flight = self._flights.get(key)
        return None if flight is None or flight.future.cancelled() else flight

    def open(self, entry: QueueEntry) -> Flight:
        """Announce a queued entry, until its future is done."""
        flight = Flight(entry=entry)
        self._flights[entry.key] = flight
        entry.future.add_done_callback(lambda future: self._land(flight, future))
        return flight

    def clear(self) -> None:
        """Announce none of them any more; they fly on."""
        self._flights.clear()

    def _land(self, flight: Flight, future: asyncio.Future[Encoding]) -> None:
        if not future.cancelled():
            future.exception()  # mark it as seen: its waiters may all have left
        # A cancelled flight may have been replaced by a new one already.
        if self._flights.get(flight.entry.key) is flight:
            del self._flights[flight.entry.key]
