"""From encoded sequences back to inputs and tasks: what heads are run on, and what answers are from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.heads import Rows
from service.inputs import TaskInput
from service.kinds.base import Readings
from service.planning import Plan
from service.shared_encoder import Encoded, Lookup
from service.tokenization import Windows

T = TypeVar("T")

_flat = chain.from_iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the encoder said about the sequences of a request."""

    windows: Sequence[Windows]
    """For each sequence, the windows that it was cut into."""
    encoded: Encoded
    """What came back for all windows, in order."""

    def by_sequence(self, of_windows: Sequence[T]) -> list[tuple[T, ...]]:
        """What there is for every window, for every sequence."""
        if len(of_windows) == len(self.windows):  # one each, as nearly always
            return list(zip(of_windows, strict=True))
        each_window = iter(of_windows)
        return [tuple(islice(each_window, len(each))) for each in self.windows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What the tasks of a shared reading have to answer from, but for the logits."""

    tasks: Sequence[str]
    lookups: Sequence[Lookup]
    """How all that they read was found."""
    rows: Rows
    """What their heads are run on, inputs in order."""
    inputs: Sequence[TaskInput]
    tokens: Sequence[Windows]
    """For each input, the windows of all its sequences."""
    num_rows: Sequence[int]
    """How many of the rows belong to each input."""

    def readings(self, logits: NDArray[np.float32], *, is_token_level: bool) -> Readings:
        """With a task's logits, of shape ``(num_rows, num_outputs)``: what it answers from."""
        num_rows = self.num_rows
        if is_token_level:
            num_rows = [sum(window.num_tokens for window in tokens) for tokens in self.tokens]
        return Readings(inputs=self.inputs, tokens=self.tokens, logits=logits, num_rows=num_rows)


def gather(planned: Plan, found: Found) -> Iterator[Gathered]:
    """Each shared reading of a plan with what was found for it."""
    encodings = found.by_sequence(found.encoded.encodings)
    lookups = found.by_sequence(found.encoded.lookups)
    for reading in planned.readings:
        head_rows = [
            reading.reader.head_rows([encodings[place] for place in job.sequences]) for job in reading.jobs
        ]
        yield Gathered(
            tasks=reading.tasks,
            lookups=[lookup for job in reading.jobs for place in job.sequences for lookup in lookups[place]],
            rows=list(_flat(head_rows)),
            inputs=[planned.inputs[job.input_index] for job in reading.jobs],
            tokens=[tuple(_flat([found.windows[place] for place in job.sequences])) for job in reading.jobs],
            num_rows=list(map(len, head_rows)),
        )
