"""Which sequences a request needs from the encoder, and which task reads which of them. Pure.

inputs  {"text": a, "text_pair": b}
tasks   paraphrase (cross_encoder), similarity (bi_encoder)

sequences   (a, b)   a   b
paraphrase ────┘     │   │
similarity ──────────┴───┘
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from export.manifest import HeadInput, PairMode, TaskEntry
from service.errors import FieldError, InvalidRequest
from service.tokenization import TextSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One answer to give: a task on an input."""

    input_index: int
    sequences: tuple[int, ...]
    """Places in ``Plan.sequences``: one, or two for a bi-encoded pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A request, seen from the encoder."""

    sequences: tuple[TextSequence, ...]
    """Each sequence of an input once, however many tasks read it; inputs in order."""
    jobs: Mapping[str, tuple[Job, ...]]
    """By task, inputs in order. Tasks that fit no input are left out."""


def plan(inputs: Sequence[TextSequence], tasks: Mapping[str, TaskEntry]) -> Plan:
    """Match inputs and tasks.

    Args:
        inputs: The texts and pairs to answer for.
        tasks: The tasks asked for, by name. An input gets the answers of those that it fits.

    Raises:
        InvalidRequest: If an input fits none of the tasks. All such inputs are named.
    """
    sequences: list[TextSequence] = []
    jobs: dict[str, list[Job]] = {name: [] for name in tasks}
    misfits: list[FieldError] = []
    for index, each in enumerate(inputs):
        places: dict[TextSequence, int] = {}
        fitting = {name: entry for name, entry in tasks.items() if fits(each, entry)}
        if not fitting:
            misfits.append(FieldError(f"inputs.{index}", _explain(each, tasks)))
        for name, entry in fitting.items():
            read = []
            for sequence in sequences_of(each, entry):
                if sequence not in places:
                    places[sequence] = len(sequences)
                    sequences.append(sequence)
                read.append(places[sequence])
            jobs[name].append(Job(input_index=index, sequences=tuple(read)))
    if misfits:
        raise InvalidRequest("Some inputs fit none of the tasks asked for.", errors=misfits)
    return Plan(sequences=tuple(sequences), jobs={name: tuple(each) for name, each in jobs.items() if each})


def fits(text_input: TextSequence, task: TaskEntry) -> bool:
    """Whether the task takes inputs of this form."""
    return task.kind.takes_pair_mode == (text_input.text_pair is not None)


def sequences_of(text_input: TextSequence, task: TaskEntry) -> tuple[TextSequence, ...]:
    """What the task reads from the encoder, for an input that fits it."""
    if task.pair is not PairMode.BI_ENCODER:
        return (text_input,)
    assert text_input.text_pair is not None, "only inputs that fit are planned"  # noqa: S101
    return TextSequence(text=text_input.text), TextSequence(text=text_input.text_pair)


def reads_states(task: TaskEntry, *, is_pair: bool) -> bool:
    """Whether the task's head reads the token states of sequences of this form."""
    forms_match = (task.pair is PairMode.CROSS_ENCODER) == is_pair
    return forms_match and HeadInput.LAST_HIDDEN_STATE in task.head.inputs


def _explain(text_input: TextSequence, tasks: Mapping[str, TaskEntry]) -> str:
    found = "text" if text_input.text_pair is None else "text and text_pair"
    expected = "; ".join(f"{name} takes {' and '.join(entry.input_fields)}" for name, entry in tasks.items())
    return f"The input has {found}, but {expected}."
