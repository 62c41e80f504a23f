"""Logits of every task → the answers of a request, off the event loop where that pays."""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from service.kinds.answers import Answer
from service.kinds.base import AnswerOptions, Kind, Readings
from service.planning import Plan
from service.tokenization import TokenizedInput, num_chars

INLINE_ROWS = 256
"""Rows of logits of a request, over all tasks, that are decoded on the event loop.

Measured 2026-11: from 2 µs a row of labels to 10 µs a token of tagging, against about 180 µs for a hop to a
thread and back. A job's thousand texts take about a second, which nobody else must wait for.
"""

INLINE_CHARS = 10_000
"""Of texts whose words are found on the event loop, those included that the encoder does not read."""


class AnswerDecoder:
    """Answers from what the tasks' heads said."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")

    async def decode(
        self, planned: Plan, readings: Mapping[str, Readings], options: AnswerOptions
    ) -> list[dict[str, Answer]]:
        """The answers of each input, by task.

        Args:
            planned: What was asked.
            readings: Of each task.
            options: What the answers say beside the most probable.
        """
        if _is_quick(planned, readings):
            return self._decode(planned, readings, options)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._decode, planned, readings, options)

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False)

    def _decode(
        self, planned: Plan, readings: Mapping[str, Readings], options: AnswerOptions
    ) -> list[dict[str, Answer]]:
        answers: list[dict[str, Answer]] = [{} for _ in planned.inputs]
        for reading in planned.readings:
            are_truncated = list(map(is_truncated, readings[reading.tasks[0]].tokens))
            for name in reading.tasks:
                given = self._kinds[name].decoder.answers(readings[name], options)
                for job, answer, lost_tokens in zip(reading.jobs, given, are_truncated, strict=True):
                    if lost_tokens:
                        answer["truncated"] = True
                    answers[job.input_index][name] = answer
        return answers


def is_truncated(windows: Iterable[TokenizedInput]) -> bool:
    """Whether a text was longer than the encoder reads."""
    return any(window.is_truncated for window in windows)


def _is_quick(planned: Plan, readings: Mapping[str, Readings]) -> bool:
    num_rows = sum(len(each.logits) for each in readings.values())
    return (
        num_rows <= INLINE_ROWS
        and sum(num_chars(planned.sequences[place]) for place in planned.with_offsets) <= INLINE_CHARS
    )
