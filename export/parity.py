"""Does ONNX Runtime answer what the torch model answers, alone and in any company?

The torch side is the training forward: padded, one sequence at a time. The graph side packs the same
sequences into rows of several lengths, in several orders. So one check covers exporter, packing and batch
invariance: of the encoder over token ids, and of every head that reads token states over those states. A head
over pooled vectors is run on several batches of them.

Tolerance 1e-4: both sides compute in float32 with differently ordered sums (six layers of MiniLM differ by
about 2e-6); 1e-4 leaves room for deeper encoders and is far below what any label or printed score shows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from export.errors import ParityError
from export.inference import LAST_HIDDEN_STATE, LOGITS, run_over_states
from export.manifest import EncoderEntry, Pooling
from export.packing import PackedRows, pack_rows
from export.sessions import Graph
from training.batches import pad
from training.examples import EncodedExamples
from training.kinds.base import Logits
from training.model import MultitaskModel
from training.tasks import Task
from training.tokenization import TokenSequence

Key: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]

TOLERANCE = 1e-4
ROW_LENGTHS = (1, 2, 3)
"""Row lengths tried, as multiples of the longest sequence."""
HEAD_BATCHES = (1, 2, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One sequence by the torch model.

    Attributes:
        states: Shape ``(length, hidden_size)``.
        pooled: Shape ``(hidden_size,)``, of a layered pooling ``(num_layers + 1, hidden_size)``.
    """

    states: NDArray[np.float32]
    pooled: dict[Pooling, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Largest deviations found.

    Attributes:
        encoder: Over token states and pooled vectors of every packing.
        heads: Of the logits, by task.
    """

    encoder: float
    heads: dict[str, float]


def check_parity(
    model: MultitaskModel,
    tasks: Mapping[str, Task],
    samples: Mapping[str, EncodedExamples],
    logits: Mapping[str, Logits],
    *,
    encoder: EncoderEntry,
    encoder_graph: Graph,
    head_graphs: Mapping[str, Graph],
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare encoder and heads on a few examples of every task.

    Args:
        model: In evaluation mode.
        tasks: By name.
        samples: By task.
        logits: The torch model's, of each task's samples.
        encoder: The manifest's entry.
        encoder_graph: Of any precision.
        head_graphs: By task.
        tolerance: Largest deviation allowed.

    Raises:
        ParityError: Naming what differs and by how much.
    """
    sequences = distinct_sequences(samples)
    alone = {key_of(sequence): encode_alone(model, sequence, encoder.poolings) for sequence in sequences}
    found = _encoder_deviation(sequences, alone, encoder, encoder_graph)
    if not found <= tolerance:
        raise ParityError(
            f"The encoder's graph differs from the torch model by {found:.2e}, allowed {tolerance:.0e}"
        )
    heads = {}
    for name, examples in samples.items():
        pooling, graph = model.poolings[name], head_graphs[name]
        if pooling is None:
            heads[name] = _state_head_deviation(
                examples, logits[name], alone, encoder, graph, is_token_level=tasks[name].kind.is_token_level
            )
        else:
            heads[name] = _pooled_head_deviation(examples, logits[name], alone, Pooling(pooling), graph)
    for name, gap in heads.items():
        if not gap <= tolerance:
            raise ParityError(
                f"The head of task {name!r} differs from the torch model by {gap:.2e}, "
                f"allowed {tolerance:.0e}"
            )
    return Parity(encoder=found, heads=heads)


def array_deviation(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """``export.manifest.deviation`` of arrays: the manifest does without numpy, a million states do not."""
    with np.errstate(invalid="ignore"):  # of two infinities: not a number, which passes no tolerance
        gaps = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    return float(np.max(gaps, initial=0.0))


def key_of(sequence: TokenSequence) -> Key:
    """What makes two sequences the same to the encoder."""
    return tuple(sequence.input_ids), tuple(sequence.token_type_ids)


def distinct_sequences(samples: Mapping[str, EncodedExamples]) -> list[TokenSequence]:
    """Every sequence of the samples once."""
    every = [s for examples in samples.values() for example in examples.sequences for s in example]
    return list({key_of(sequence): sequence for sequence in every}.values())


@torch.inference_mode()
def encode_alone(model: MultitaskModel, sequence: TokenSequence, poolings: Sequence[Pooling]) -> Encoded:
    """One sequence by the model that the heads were trained on."""
    batch = pad([sequence], pad_token_id=model.encoder.pad_token_id)
    output = model.encoder.read(batch, [LAST_HIDDEN_STATE, *poolings])
    return Encoded(
        states=output[LAST_HIDDEN_STATE][0].numpy(),
        pooled={pooling: output[pooling][0].numpy() for pooling in poolings},
    )


def _encoder_deviation(
    sequences: Sequence[TokenSequence],
    alone: Mapping[Key, Encoded],
    encoder: EncoderEntry,
    graph: Graph,
) -> float:
    worst = [0.0]
    for rows, order in _packings(sequences, encoder):
        outputs = graph.run(rows.feed(encoder))
        for segment, (index, (row, start, length)) in enumerate(zip(order, rows.places, strict=True)):
            expected = alone[key_of(sequences[index])]
            states = outputs[LAST_HIDDEN_STATE][row, start : start + length]
            worst.append(array_deviation(states, expected.states))
            for pooling, vector in expected.pooled.items():
                worst.append(array_deviation(outputs[pooling.output_name][segment], vector))
    return float(np.max(worst))


def _pooled_head_deviation(
    examples: EncodedExamples,
    logits: Logits,
    alone: Mapping[Key, Encoded],
    pooling: Pooling,
    graph: Graph,
) -> float:
    """A head over pooled vectors, on batches of several sizes."""
    vectors = [
        [alone[key_of(examples.sequences[index][place])].pooled[pooling] for place in row]
        for index in range(len(examples))
        for row in examples.rows_of(index)
    ]
    columns = [np.stack(column) for column in zip(*vectors, strict=True)]
    expected = np.concatenate(logits)
    worst = [0.0]
    for size in (*HEAD_BATCHES, len(expected)):
        feed = {name: column[:size] for name, column in zip(graph.inputs, columns, strict=True)}
        worst.append(array_deviation(graph.run(feed)[LOGITS], expected[:size]))
    return float(np.max(worst))


def _state_head_deviation(
    examples: EncodedExamples,
    logits: Logits,
    alone: Mapping[Key, Encoded],
    encoder: EncoderEntry,
    graph: Graph,
    *,
    is_token_level: bool,
) -> float:
    """A head over token states, in rows of several lengths and in several orders."""
    sequences = [sequence for each in examples.sequences for sequence in each]
    lengths = [len(sequence.input_ids) if is_token_level else 1 for sequence in sequences]
    expected = np.split(np.concatenate(logits), np.cumsum(lengths)[:-1])
    worst = [0.0]
    for rows, order in _packings(sequences, encoder):
        states = rows.lay([alone[key_of(sequences[index])].states for index in order])
        found = run_over_states(graph, states, rows, is_token_level=is_token_level)
        worst.append(array_deviation(found, np.concatenate([expected[index] for index in order])))
    return float(np.max(worst))


def _packings(
    sequences: Sequence[TokenSequence], encoder: EncoderEntry
) -> Iterator[tuple[PackedRows, list[int]]]:
    """The sequences in rows of every tried length, each time in another order, which comes with them."""
    longest = max(len(sequence.input_ids) for sequence in sequences)
    generator = np.random.default_rng(0)
    for multiple in ROW_LENGTHS:
        order = generator.permutation(len(sequences)).tolist()
        rows = pack_rows(
            [sequences[index] for index in order],
            row_len=multiple * longest,
            position_offset=encoder.position_offset,
            pad_token_id=encoder.pad_token_id,
            layout=encoder.layout,
        )
        yield rows, order
