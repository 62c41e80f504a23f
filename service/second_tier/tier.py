"""What the shared encoder asks of a second tier, and what a second tier tells whoever counts."""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Protocol

from export.manifest import Pooling
from service.encoding import Encoding
from service.second_tier.wire import Shapes
from service.tokenization import TokenizedInput


class TierRead(StrEnum):
    """What became of reading one sequence."""

    HIT = "hit"
    MISS = "miss"
    CORRUPT = "corrupt"
    """A value that was not written by this service: as good as none."""
    FAILED = "failed"
    """No answer in time, or an error."""
    SKIPPED = "skipped"
    """Not asked: the server counts as gone, or all connections were busy."""


class TierWrite(StrEnum):
    """What became of writing one sequence."""

    WRITTEN = "written"
    FAILED = "failed"
    DROPPED = "dropped"
    """The queue was full, or the server counts as gone."""


class SecondTier(Protocol):
    """Encodings that other replicas may have computed."""

    async def find(
        self,
        wanted: Mapping[bytes, TokenizedInput],
        *,
        with_states: Collection[bytes],
        poolings: AbstractSet[Pooling],
        shapes: Shapes,
    ) -> dict[bytes, Encoding]:
        """Those that are there, by key. Never fails, and never takes longer than its bound.

        Args:
            wanted: Sequences by key.
            with_states: Keys whose token states are needed, too.
            poolings: All must be there.
            shapes: Of the encoder's outputs.
        """

    def keep(self, key: bytes, encoding: Encoding) -> None:
        """Store one, some time soon. Returns at once."""


class TierObserver(Protocol):
    """Told about reads and writes; must not block."""

    def saw_tier_reads(self, outcome: TierRead, count: int) -> None:
        """So many sequences were looked for."""

    def saw_tier_writes(self, outcome: TierWrite, count: int) -> None:
        """So many sequences were to be stored."""

    def saw_tier_wait(self, seconds: float) -> None:
        """A request waited for the second tier."""
