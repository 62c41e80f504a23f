"""Which sequences a request needs from the encoder, and which task reads which of them. Pure.

inputs  {"text": a, "text_pair": b}
tasks   paraphrase (cross_encoder), similarity (bi_encoder)

sequences   (a, b)   a   b
paraphrase ────┘     │   │
similarity ──────────┴───┘
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from service.errors import FieldError, InvalidRequest
from service.inputs import TaskInput, describe_form
from service.kinds.base import Kind, Reader
from service.tokenization import TextSequence

T = TypeVar("T")


class Job(NamedTuple):
    """An input to be read. A named tuple: there is one for every text, and it is made twice as fast."""

    input_index: int
    sequences: tuple[int, ...]
    """Places in ``Plan.sequences``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedReading:
    """What tasks with equal readers have in common: which inputs they answer, and what they read of each."""

    reader: Reader[Any]
    tasks: tuple[str, ...]
    jobs: list[Job]
    """Inputs in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A request, seen from the encoder."""

    inputs: Sequence[TaskInput]
    sequences: list[TextSequence]
    """Each sequence of an input once, however many tasks read it; inputs in order."""
    readings: list[SharedReading]
    """Every task that fits some input stands in one of them."""
    with_offsets: frozenset[int]
    """Places of the sequences whose tokens' offsets somebody asks for."""
    with_states: frozenset[int]
    """Places of the sequences whose token states somebody reads."""

    def by_input(self, of_sequences: Mapping[int, T]) -> dict[int, T]:
        """What there is for some sequences, by their places, for the inputs that they belong to."""
        return {
            job.input_index: of_sequences[place]
            for reading in self.readings
            for job in reading.jobs
            for place in job.sequences
            if place in of_sequences
        }


def plan(inputs: Sequence[TaskInput], tasks: Mapping[str, Kind]) -> Plan:
    """Match inputs and tasks.

    Args:
        inputs: What to answer for.
        tasks: The tasks asked for, by name. An input gets the answers of those that it fits.

    Raises:
        InvalidRequest: If an input fits none of the tasks. All such inputs are named.
    """
    readings = _share(tasks)
    fitting: dict[type, list[SharedReading]] = {}
    sequences: list[TextSequence] = []
    misfits: list[FieldError] = []
    for index, each in enumerate(inputs):
        form = type(each)
        if form not in fitting:
            fitting[form] = [reading for reading in readings if form in reading.reader.takes]
        if not fitting[form]:
            misfits.append(FieldError(f"inputs.{index}", _explain(form, tasks)))
        places: dict[TextSequence, int] = {}
        for reading in fitting[form]:
            read = []
            for sequence in reading.reader.sequences(each):
                if sequence not in places:
                    places[sequence] = len(sequences)
                    sequences.append(sequence)
                read.append(places[sequence])
            reading.jobs.append(Job(index, tuple(read)))
    if misfits:
        raise InvalidRequest("Some inputs fit none of the tasks asked for.", errors=misfits)
    readings = [reading for reading in readings if reading.jobs]
    return Plan(
        inputs=inputs,
        sequences=sequences,
        readings=readings,
        with_offsets=_places(reading for reading in readings if reading.reader.needs_offsets),
        with_states=_places(
            reading for reading in readings if any(tasks[name].reads_states for name in reading.tasks)
        ),
    )


def _share(tasks: Mapping[str, Kind]) -> list[SharedReading]:
    names: dict[Reader[Any], list[str]] = {}
    for name, kind in tasks.items():
        names.setdefault(kind.reader, []).append(name)
    return [SharedReading(reader=reader, tasks=tuple(each), jobs=[]) for reader, each in names.items()]


def _places(readings: Iterable[SharedReading]) -> frozenset[int]:
    return frozenset(place for reading in readings for job in reading.jobs for place in job.sequences)


def _explain(form: type, tasks: Mapping[str, Kind]) -> str:
    expected = "; ".join(
        f"{name} takes {' or '.join(map(describe_form, kind.reader.takes))}" for name, kind in tasks.items()
    )
    return f"The input has {describe_form(form)}, but {expected}."
