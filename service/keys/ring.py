"""The keys of a running service."""

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

from service.errors import Forbidden, RateLimited
from service.keys.bucket import TokenBucket
from service.keys.file import KeyEntry, KeyFile

DEFAULT_BURST_S = 10.0


class ApiKey:
    """A key of the file, with what its holder has used of its rate."""

    def __init__(self, entry: KeyEntry, *, clock: Callable[[], float]) -> None:
        self.name = entry.name
        self.digest = bytes.fromhex(entry.sha256)
        self._tasks = entry.tasks
        rate = entry.inputs_per_s
        self._bucket = (
            None
            if rate is None
            else TokenBucket(
                rate_per_s=rate, burst=float(entry.burst or max(1.0, DEFAULT_BURST_S * rate)), clock=clock
            )
        )

    def permitted(self, asked: Sequence[str] | None, known: Iterable[str]) -> Sequence[str] | None:
        """The tasks that a request gets: those it asks for, or of all those that the key opens.

        Raises:
            Forbidden: If it asks for others, or none is left.
        """
        if self._tasks is None:
            return asked
        if asked is None:
            asked = [name for name in known if name in self._tasks]
            if not asked:
                raise Forbidden(f"The key {self.name!r} opens none of the tasks.")
        if refused := [name for name in asked if name not in self._tasks]:
            opened = ", ".join(sorted(self._tasks))
            raise Forbidden(f"The key {self.name!r} does not open {', '.join(refused)}. It opens: {opened}.")
        return asked

    def charge(self, num_inputs: int) -> None:
        """Count inputs against the key's rate.

        Raises:
            RateLimited: If there are too many. None is counted.
        """
        wait_s = 0.0 if self._bucket is None else self._bucket.take(num_inputs)
        if wait_s:
            raise RateLimited(f"The key {self.name!r} has used up its rate.", retry_after_s=wait_s)

    def give_back(self, num_inputs: int) -> None:
        """Count inputs no more: they were turned away."""
        if self._bucket is not None:
            self._bucket.give_back(num_inputs)


class KeyRing:
    """All keys of the file: tells whose a presented key is."""

    def __init__(self, entries: Iterable[KeyEntry], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = [ApiKey(entry, clock=clock) for entry in entries]

    @classmethod
    def read(cls, path: Path | None) -> Self | None:
        """From a file; None without one, which leaves the service open.

        Raises:
            KeyFileError: If it is unreadable or invalid.
        """
        return None if path is None else cls(KeyFile.read(path).keys)

    def find(self, presented: str) -> ApiKey | None:
        """The key, if it is one. Takes as long whichever it is, and if it is none."""
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found
