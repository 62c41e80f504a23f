"""A request's look-up in the second tier: what to ask for, and what became of it. Pure."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TypeVar

from export.manifest import Pooling
from service.encoding import Encoding
from service.second_tier.tier import TierRead
from service.second_tier.wire import Corrupt, Shapes, unpack_states, unpack_vectors
from service.tokenization import TokenizedInput

logger = logging.getLogger("bentoml.encodeonce")

T = TypeVar("T")

CALL_KEYS = 128
"""Sequences of one call to the server. A bulk request keeps what came in time."""
CALL_BYTES = 1024 * 1024
"""Bytes of one call, but one sequence at least: packing or unpacking as many stops the event loop for about a
millisecond."""


@dataclass(slots=True, kw_only=True)
class Search:
    """What is looked for, and what was found of it so far."""

    wanted: Mapping[bytes, TokenizedInput]
    """Sequences by key."""
    with_states: Collection[bytes]
    """Keys whose token states are needed, too."""
    poolings: AbstractSet[Pooling]
    shapes: Shapes
    found: dict[bytes, Encoding] = field(default_factory=dict)
    outcomes: Counter[TierRead] = field(default_factory=Counter)

    def calls(self) -> Iterator[list[bytes]]:
        """The keys, as many together as one call takes."""
        keys = iter(self.wanted)
        while together := take_call(keys, self._expected_bytes):
            yield together

    def saw(self, key: bytes, pooled: bytes | None, states: bytes | None) -> None:
        """These are the server's values for a key."""
        try:
            encoding = self._unpack(key, pooled, states)
        except Corrupt as reason:
            logger.warning("A value of the second tier is passed over: %s", reason)
            self.outcomes[TierRead.CORRUPT] += 1
            return
        if encoding is None or not self.poolings <= encoding.pooled.keys():
            self.outcomes[TierRead.MISS] += 1
        else:
            self.found[key] = encoding
            self.outcomes[TierRead.HIT] += 1

    def end(self, outcome: TierRead) -> None:
        """So it ended for all that nothing was seen of."""
        self.outcomes[outcome] += len(self.wanted) - self.outcomes.total()

    def _unpack(self, key: bytes, pooled: bytes | None, states: bytes | None) -> Encoding | None:
        if pooled is None or (states is None and key in self.with_states):
            return None
        num_tokens = self.wanted[key].num_tokens
        return Encoding(
            pooled=unpack_vectors(key, pooled, self.shapes),
            states=None if states is None else unpack_states(key, states, self.shapes, num_tokens=num_tokens),
        )

    def _expected_bytes(self, key: bytes) -> int:
        num_bytes = sum(map(self.shapes.pooled_bytes, self.poolings))
        if key in self.with_states:
            num_bytes += self.shapes.states_bytes(self.wanted[key].num_tokens)
        return num_bytes


def take_call(entries: Iterator[T], size_of: Callable[[T], int]) -> list[T]:
    """The next entries that one call takes; none at the end."""
    taken: list[T] = []
    num_bytes = 0
    for entry in entries:
        taken.append(entry)
        num_bytes += size_of(entry)
        if len(taken) == CALL_KEYS or num_bytes >= CALL_BYTES:
            break
    return taken
