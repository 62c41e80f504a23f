"""Who shares the encoder how: start-time fair queuing of two priorities. Pure.

Goyal, Vin & Cheng 1996 (SFQ). Every entry gets a start tag when it arrives: where its priority's work begins
on a common virtual clock, on which an entry of ``n`` tokens lasts ``n / weight``. Entries are served in the
order of their tags, and the clock stands at the first tag of the last batch. So each priority gets its share
of the tokens as long as both wait, whatever the sizes of their entries; a newcomer of an idle priority is
nearly next, however much of the other waits; and an idle share goes to whoever is there.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Priority(StrEnum):
    """What a request is for. It may say so; else its size tells."""

    INTERACTIVE = "interactive"
    """Somebody waits for it."""
    BULK = "bulk"
    """A job, of which only the whole counts."""


WEIGHTS: Mapping[Priority, float] = MappingProxyType({Priority.INTERACTIVE: 4.0, Priority.BULK: 1.0})
"""Shares of the encoder's tokens while both wait."""


INTERACTIVE_TOKENS = 512
"""The most that a request which does not say asks for interactively: about thirty short texts."""


def usual_priority(num_tokens: int) -> Priority:
    """Of a request that does not say, by the tokens that it makes the encoder compute."""
    return Priority.INTERACTIVE if num_tokens <= INTERACTIVE_TOKENS else Priority.BULK


class FairShare:
    """Start tags for the entries of one queue."""

    def __init__(self) -> None:
        self._now = 0.0
        self._next_start = dict.fromkeys(Priority, 0.0)

    def tag(self, priority: Priority, num_tokens: int) -> float:
        """The start tag of an entry that arrives. Within a priority, tags never fall."""
        start = max(self._now, self._next_start[priority])
        self._next_start[priority] = start + num_tokens / WEIGHTS[priority]
        return start

    def serve(self, tag: float) -> None:
        """A batch is served, and this is its first tag; fillers of the batch may have later ones."""
        self._now = max(self._now, tag)

    def forgive(self, priority: Priority) -> None:
        """What waited last of a priority left unserved."""
        self._next_start[priority] = self._now
