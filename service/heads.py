"""The tasks' heads: cached encodings → named graph inputs → logits, batched over all requests of a tick."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from export.manifest import PADDING_SEGMENT, HeadInput, TaskEntry
from service.encoder_cache import States
from service.encoding import Encoding
from service.errors import InferenceFailed
from service.packing import pack_states
from service.sessions import HeadSession
from service.splitting import split_by_size

logger = logging.getLogger("bentoml.encodeonce")

INLINE_ROWS = 256
"""Head rows of a tick that run on the event loop.

A head over pooled vectors is one or two small matrix products: about 20 µs for a few rows (measured
2026-11), less than the hop to a thread and back. A bulk request's thousand rows go to the thread, and so does
every head over token states: it may be layers of a transformer.
"""

MAX_TOKENS = 2048
"""Tokens that a head over token states is given at once, unless one text has more.

The states are laid out anew for each run, and a head that is layers of a transformer has its attention beside
them: some hundred megabytes for rows of 512. A batch of the encoder is far smaller.
"""

Rows: TypeAlias = Sequence[tuple[Encoding, ...]]
"""What a head is run on: for each row one encoding, or two for a bi-encoded pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One task's head."""

    task: TaskEntry
    session: HeadSession
    row_len: int
    """Length of the rows that token states are packed into."""

    def num_logits(self, rows: Rows) -> int:
        """Rows of logits that the head gives: one for each of its rows, or for each of their tokens."""
        return sum(len(_states(row[0])) for row in rows) if self.task.kind.is_token_level else len(rows)

    def logits(self, rows: Rows) -> NDArray[np.float32]:
        """Run the graph. Shape ``(num_logits(rows), num_outputs)``.

        Raises:
            ValueError: If the graph gives another shape, or no numbers.
        """
        if self.task.reads_pooled:
            return self._checked(self.session.run(self.pooled_inputs(rows)), len(rows))
        return self._logits_of_states([_states(row[0]) for row in rows])

    def _logits_of_states(self, states: Sequence[States]) -> NDArray[np.float32]:
        """Each of them once, however often it comes, and a bounded number of tokens at a time."""
        distinct = list({id(each): each for each in states}.values())
        logits: dict[int, NDArray[np.float32]] = {}
        for part in split_by_size(list(map(len, distinct)), most=MAX_TOKENS):
            logits |= zip(map(id, distinct[part]), self._run_on_states(distinct[part]), strict=True)
        return np.concatenate([logits[id(each)] for each in states])

    def _run_on_states(self, states: Sequence[States]) -> list[NDArray[np.float32]]:
        """The logits of each."""
        packed = pack_states(states, row_len=self.row_len)
        logits = self.session.run({name: getattr(packed, name) for name in self.task.head.inputs})
        num_logits = [1] * len(states)
        if self.task.kind.is_token_level:
            # The sequences lie in order, row by row: without the tails, so do their tokens.
            logits = logits[packed.segment_ids != PADDING_SEGMENT]
            num_logits = list(map(len, states))
        return np.split(self._checked(logits, sum(num_logits)), np.cumsum(num_logits[:-1]))

    def _checked(self, logits: NDArray[np.float32], num_logits: int) -> NDArray[np.float32]:
        expected = (num_logits, self.task.head.num_outputs)
        if logits.shape != expected:
            raise ValueError(f"The head gave logits of shape {logits.shape}, expected {expected}.")
        if not np.isfinite(logits).all():
            raise ValueError("The head gave logits that are not finite.")
        return logits

    def pooled_inputs(self, rows: Rows) -> dict[HeadInput, NDArray[Any]]:
        """The named inputs of a graph over pooled vectors. Shape ``(len(rows), hidden_size)`` each."""
        assert self.task.pooling is not None, "checked by the manifest"  # noqa: S101
        return {
            # Twice as fast as np.stack for a few rows.
            name: np.array(
                [row[name is HeadInput.POOLED_B].pooled[self.task.pooling] for row in rows], dtype=np.float32
            )
            for name in self.task.head.inputs
        }


def _states(encoding: Encoding) -> States:
    if encoding.states is None:
        raise ValueError("A head reads token states, but they were not kept for this sequence.")
    return encoding.states


RowsByTask: TypeAlias = Mapping[str, Rows]
Logits: TypeAlias = dict[str, NDArray[np.float32]]
"""By task, each of shape ``(num_rows, num_outputs)``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Call:
    """One request's work for the heads."""

    rows: RowsByTask
    future: asyncio.Future[Logits] = field(repr=False)


class HeadRunner:
    """Collects the calls of one turn of the event loop, and runs each head once for all of them."""

    def __init__(self, heads: Mapping[str, Head]) -> None:
        self.failed_runs: Counter[str] = Counter()
        """By task, the runs in a row that its head failed on."""
        self._heads = heads
        self._calls: list[_Call] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heads")

    async def run_at_once(self, rows: RowsByTask) -> Logits:
        """As ``run``, but what is quick is computed now.

        For a request whose encodings were all cached: no batch wakes others in the same turn, and a turn of
        the loop costs more than a head.

        Raises:
            InferenceFailed: If a head fails on these rows.
        """
        if not self._is_quick([rows]):
            return await self.run(rows)
        (result,) = self._compute([rows])
        if isinstance(result, InferenceFailed):
            raise result
        return result

    async def run(self, rows: RowsByTask) -> Logits:
        """Logits by task: a row for each of its rows, or of a token-level head for each of their tokens.

        Raises:
            InferenceFailed: If a head fails on these rows, also without the other requests' rows.
        """
        loop = asyncio.get_running_loop()
        call = _Call(rows=rows, future=loop.create_future())
        if not self._calls:
            # The futures of one encoder batch wake their requests in the same turn; they all get here
            # before it runs.
            loop.call_soon(self._flush)
        self._calls.append(call)
        return await call.future

    def close(self) -> None:
        """End the heads' thread, without waiting for what it computes."""
        self._thread.shutdown(wait=False)

    def _flush(self) -> None:
        calls = [*self._calls]
        self._calls.clear()
        if self._is_quick([call.rows for call in calls]):
            _settle(self._answer(calls))
            return
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._answer, calls)
        done.add_done_callback(lambda future: None if future.cancelled() else _settle(future.result()))

    def _is_quick(self, calls: Sequence[RowsByTask]) -> bool:
        tasks = {task for call in calls for task in call}
        num_rows = sum(len(rows) for call in calls for rows in call.values())
        return num_rows <= INLINE_ROWS and all(self._heads[task].task.reads_pooled for task in tasks)

    def _answer(self, calls: Sequence[_Call]) -> list[tuple[_Call, Logits | InferenceFailed]]:
        """Of those who still wait: some may have left or be late by the time that the thread gets here."""
        waiting = [call for call in calls if not call.future.done()]
        return list(zip(waiting, self._compute([call.rows for call in waiting]), strict=True))

    def _compute(self, calls: Sequence[RowsByTask]) -> list[Logits | InferenceFailed]:
        """Results in the order of the calls; if the joint run fails, each call once by itself."""
        try:
            return list(self._run_jointly(calls))
        except Exception as error:
            if len(calls) == 1:
                logger.exception("A head failed")
                failure = InferenceFailed("A head failed on an input of this request.")
                failure.__cause__ = error
                return [failure]
            logger.warning("The heads failed on %d requests (%s); running each alone", len(calls), error)
            return [result for call in calls for result in self._compute([call])]

    def _run_jointly(self, calls: Sequence[RowsByTask]) -> list[Logits]:
        joint: dict[str, list[tuple[Encoding, ...]]] = defaultdict(list)
        for call in calls:
            for task, rows in call.items():
                joint[task].extend(rows)
        logits = {task: self._run_head(task, rows) for task, rows in joint.items()}
        results = []
        taken: dict[str, int] = defaultdict(int)
        for call in calls:
            result = {}
            for task, rows in call.items():
                start = taken[task]
                taken[task] += self._heads[task].num_logits(rows)
                result[task] = logits[task][start : taken[task]]
            results.append(result)
        return results

    def _run_head(self, task: str, rows: Rows) -> NDArray[np.float32]:
        try:
            logits = self._heads[task].logits(rows)
        except Exception:
            self.failed_runs[task] += 1
            raise
        self.failed_runs[task] = 0
        return logits


def _settle(answered: Sequence[tuple[_Call, Logits | InferenceFailed]]) -> None:
    for call, result in answered:
        if call.future.done():
            continue
        if isinstance(result, InferenceFailed):
            call.future.set_exception(result)
        else:
            call.future.set_result(result)
