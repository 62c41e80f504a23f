"""A task's logits by a bundle's own graphs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.manifest import EncoderEntry, HeadInput, PairMode, TaskEntry
from export.packing import PackedRows, pack_rows
from export.sessions import Graph
from training.tokenization import TokenSequence

LAST_HIDDEN_STATE = "last_hidden_state"
LOGITS = "logits"
ROW_LENGTH = 2
"""Of the rows that sequences are packed into, as a multiple of the longest: some share a row."""


def run_task(
    encoder: EncoderEntry,
    task: TaskEntry,
    sequences: Sequence[TokenSequence],
    *,
    encoder_graph: Graph,
    head_graph: Graph,
) -> NDArray[np.float32]:
    """Encode one input's sequences and run the task's head over them.

    Args:
        encoder: The manifest's entry.
        task: Likewise.
        sequences: As ``export.inputs.sequences_of`` gives them.
        encoder_graph: Of any precision.
        head_graph: The task's.

    Returns:
        A row for each sequence or bi-encoded pair; of a token-level kind a row for each token, in order.
        Shape ``(num_rows, num_outputs)``.
    """
    rows = pack_rows(
        sequences,
        row_len=ROW_LENGTH * max(len(sequence.input_ids) for sequence in sequences),
        position_offset=encoder.position_offset,
        pad_token_id=encoder.pad_token_id,
        layout=encoder.layout,
    )
    needed = LAST_HIDDEN_STATE if task.pooling is None else task.pooling.output_name
    output = encoder_graph.run(rows.feed(encoder), [needed])[needed]
    if task.pooling is None:
        return run_over_states(head_graph, output, rows, is_token_level=task.kind.is_token_level)
    columns = np.arange(len(sequences))[:, None]
    if task.pair is PairMode.BI_ENCODER:  # the first sequence meets each of the others
        columns = np.concatenate([np.zeros_like(columns[1:]), columns[1:]], axis=1)
    return head_graph.run(
        {name: output[column] for name, column in zip(task.head.inputs, columns.T, strict=True)}
    )[LOGITS]


def run_over_states(
    graph: Graph, states: NDArray[np.float32], rows: PackedRows, *, is_token_level: bool
) -> NDArray[np.float32]:
    """Run a head over token states in rows.

    Args:
        graph: The head's.
        states: Shape ``(rows, row_len, hidden_size)``.
        rows: Says where each sequence lies.
        is_token_level: Whether the graph answers for every token.

    Returns:
        A row for each sequence, or for each of their tokens, in the order of the sequences.
    """
    named: dict[str, NDArray[Any]] = {
        HeadInput.LAST_HIDDEN_STATE: states,
        HeadInput.SEGMENT_IDS: rows.tensors[HeadInput.SEGMENT_IDS],
    }
    logits = graph.run({name: array for name, array in named.items() if name in graph.inputs})[LOGITS]
    return rows.tokens_of(logits) if is_token_level else logits
