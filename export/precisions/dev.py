"""A task's dev rows through a bundle's graphs: what a precision is judged by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.inference import LAST_HIDDEN_STATE, LOGITS, run_over_states
from export.manifest import EncoderEntry, Pooling
from export.packing import pack_rows
from export.sessions import Graph
from training.examples import EncodedExamples
from training.tokenization import TokenSequence

BATCH_TOKENS = 2048
ROW_TOKENS = 128
"""Of the rows that dev sequences are packed into, unless one is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGraph:
    """One task's head, and how it reads the encoder.

    Attributes:
        head: Its graph.
        pooling: Of its inputs; None for a head over token states.
        is_token_level: Whether it answers for every token.
    """

    head: Graph
    pooling: Pooling | None
    is_token_level: bool


def dev_logits(
    encoder: EncoderEntry, encoder_graph: Graph, task: TaskGraph, examples: EncodedExamples
) -> list[NDArray[np.float32]]:
    """Logits of every example, in order, as ``training.evaluation.predict_logits`` gives them.

    Args:
        encoder: The manifest's entry.
        encoder_graph: Of any precision.
        task: The head and what it reads.
        examples: Any number.
    """
    logits: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(examples)
    for chosen in _batches(examples):
        found = _run(encoder, encoder_graph, task, examples.take(chosen))
        for index, rows in zip(chosen, found, strict=True):
            logits[index] = rows
    return logits


def _batches(examples: EncodedExamples) -> Iterator[list[int]]:
    """Indices of examples of like lengths, up to a number of tokens, at least one each."""
    sizes = [sum(len(sequence.input_ids) for sequence in each) for each in examples.sequences]
    batch: list[int] = []
    tokens = 0
    for index in np.argsort(-examples.lengths, kind="stable").tolist():
        if batch and tokens + sizes[index] > BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += sizes[index]
    if batch:
        yield batch


def _run(
    encoder: EncoderEntry, encoder_graph: Graph, task: TaskGraph, examples: EncodedExamples
) -> list[NDArray[np.float32]]:
    sequences: Sequence[TokenSequence] = [each for example in examples.sequences for each in example]
    rows = pack_rows(
        sequences,
        row_len=max(ROW_TOKENS, *(len(sequence.input_ids) for sequence in sequences)),
        position_offset=encoder.position_offset,
        pad_token_id=encoder.pad_token_id,
        layout=encoder.layout,
    )
    needed = LAST_HIDDEN_STATE if task.pooling is None else task.pooling.output_name
    output = encoder_graph.run(rows.feed(encoder), [needed])[needed]
    starts = np.cumsum([0, *map(len, examples.sequences)])
    if task.pooling is None:
        logits = run_over_states(task.head, output, rows, is_token_level=task.is_token_level)
        lengths = [len(sequence.input_ids) if task.is_token_level else 1 for sequence in sequences]
        ends = np.cumsum([0, *lengths])[starts]
        return np.split(logits, ends[1:-1])
    reads = [examples.rows_of(index) for index in range(len(examples))]
    columns = np.concatenate([own + start for own, start in zip(reads, starts[:-1], strict=True)])
    logits = task.head.run(
        {name: output[column] for name, column in zip(task.head.inputs, columns.T, strict=True)}
    )[LOGITS]
    return np.split(logits, np.cumsum([len(own) for own in reads])[:-1])
