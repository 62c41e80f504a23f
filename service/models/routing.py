"""Which version of a model answers a request. Pure.

A request that pins a version gets it. Else the header ``x-canary: always`` or ``never`` decides, else the
request's id: equal ids meet the same version, in every replica and on every retry, and raising the percentage
takes nobody off the canary.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum


class CanaryWish(StrEnum):
    """What a request may say about the canary; nginx' ingress has the same words."""

    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request says about who should answer it."""

    request_id: str
    name: str | None = None
    """Of the model; None for the service's own."""
    version: str | None = None
    """Pinned; None for the one that the route gives."""
    canary: CanaryWish | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A version that takes part in the traffic."""

    version: str
    percent: float
    """Of the requests, between 0 and 100."""

    def takes(self, request_id: str, *, purpose: str) -> bool:
        """Whether a request is among its share.

        Args:
            request_id: Decides, by its hash.
            purpose: Keeps the shares for different purposes independent of each other.
        """
        digest = hashlib.sha256(f"{purpose}:{self.version}:{request_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.percent / 100 * 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The versions of one model that take part in its traffic."""

    default: str
    previous: str | None = None
    """What a rollback returns to."""
    canary: Share | None = None
    """Answers its share of the requests."""
    shadow: Share | None = None
    """Answers a copy of its share, for the drift report alone."""

    def choose(self, asked: Asked) -> str:
        """The version that answers."""
        if asked.version is not None:
            return asked.version
        if self.canary is None or asked.canary is CanaryWish.NEVER:
            return self.default
        is_taken = asked.canary is CanaryWish.ALWAYS or self.canary.takes(asked.request_id, purpose="canary")
        return self.canary.version if is_taken else self.default

    def shadowed(self, version: str, request_id: str) -> str | None:
        """The version that gets a copy of a request that this one answers, if any does."""
        shadow = self.shadow
        if shadow is None or shadow.version == version or not shadow.takes(request_id, purpose="shadow"):
            return None
        return shadow.version

    def swap(self, version: str) -> "Route":
        """Another default, which the canary or shadow may have been until now; the old one is remembered."""
        if version == self.default:
            return self
        kept = {
            name: share
            for name, share in (("canary", self.canary), ("shadow", self.shadow))
            if share is not None and share.version != version
        }
        return Route(default=version, previous=self.default, **kept)

    def roll_back(self) -> "Route":
        """The previous default, alone: a rollback ends canary and shadow.

        Raises:
            LookupError: If there is none.
        """
        if self.previous is None:
            raise LookupError("There is no previous version to roll back to.")
        return Route(default=self.previous, previous=self.default)

    def losing(self, version: str) -> "Route":
        """The route once a version that is not its default is gone."""
        kept = self
        if self.previous == version:
            kept = replace(kept, previous=None)
        if self.canary is not None and self.canary.version == version:
            kept = replace(kept, canary=None)
        if self.shadow is not None and self.shadow.version == version:
            kept = replace(kept, shadow=None)
        return kept

    def roles(self) -> Iterator[tuple[str, str]]:
        """Versions that take part, each with its role."""
        yield "default", self.default
        if self.canary is not None:
            yield "canary", self.canary.version
        if self.shadow is not None:
            yield "shadow", self.shadow.version
