"""Does ONNX Runtime answer what the torch model answers, alone and in any company?

The torch side is the training forward: padded, one sequence at a time. The graph side packs the same
sequences into rows of several lengths, in several orders. So one check covers exporter, packing and batch
invariance.

Tolerance 1e-4: both sides compute in float32 with differently ordered sums (six layers of MiniLM differ by
about 2e-6); 1e-4 leaves room for deeper encoders and is far below what any label or printed score shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from export.errors import ParityError
from export.manifest import EncoderEntry, Pooling
from export.packing import pack_rows
from export.sessions import Graph
from training.batches import collate, pad
from training.examples import EncodedExamples
from training.model import MultitaskModel
from training.tokenization import TokenSequence

TOLERANCE = 1e-4
ROW_LENGTHS = (1, 2, 3)
"""Row lengths tried, as multiples of the longest sequence."""
HEAD_BATCHES = (1, 2, 7)


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
    samples: dict[str, EncodedExamples],
    *,
    encoder: EncoderEntry,
    encoder_graph: Graph,
    head_graphs: dict[str, Graph],
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare encoder and heads on a few examples of every task.

    Args:
        model: In evaluation mode.
        samples: By task.
        encoder: The manifest's entry.
        encoder_graph: Of any precision.
        head_graphs: By task.
        tolerance: Largest deviation allowed.

    Raises:
        ParityError: Naming what differs and by how much.
    """
    sequences = distinct_sequences(samples)
    found = _encoder_deviation(model, sequences, encoder, encoder_graph)
    if not found <= tolerance:
        raise ParityError(
            f"The encoder's graph differs from the torch model by {found:.2e}, allowed {tolerance:.0e}"
        )
    heads = {
        name: _head_deviation(model, name, examples, head_graphs[name]) for name, examples in samples.items()
    }
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


def distinct_sequences(samples: dict[str, EncodedExamples]) -> list[TokenSequence]:
    """Every sequence of the samples once."""
    every = [s for examples in samples.values() for example in examples.sequences for s in example]
    return list({(tuple(s.input_ids), tuple(s.token_type_ids)): s for s in every}.values())


@torch.inference_mode()
def encode_alone(
    model: MultitaskModel, sequence: TokenSequence, poolings: Sequence[Pooling]
) -> list[NDArray[np.float32]]:
    """One sequence by torch: token states ``(length, hidden_size)`` and pooled vectors ``(hidden_size,)``."""
    batch = pad([sequence], pad_token_id=model.encoder.pad_token_id)
    states = model.encoder(batch.input_ids, batch.attention_mask, batch.token_type_ids).last_hidden_state
    pooled = [model.embed(batch, pooling)[0].numpy() for pooling in poolings]
    return [states[0].numpy(), *pooled]


def _encoder_deviation(
    model: MultitaskModel, sequences: list[TokenSequence], encoder: EncoderEntry, graph: Graph
) -> float:
    expected = [encode_alone(model, sequence, encoder.poolings) for sequence in sequences]
    longest = max(len(sequence.input_ids) for sequence in sequences)
    generator = np.random.default_rng(0)
    worst = 0.0
    for multiple in ROW_LENGTHS:
        order = generator.permutation(len(sequences))
        rows = pack_rows(
            [sequences[index] for index in order],
            row_len=multiple * longest,
            position_offset=encoder.position_offset,
            pad_token_id=encoder.pad_token_id,
            layout=encoder.layout,
        )
        outputs = graph.run(rows.feed(encoder))
        for segment, (index, (row, start, length)) in enumerate(zip(order, rows.places, strict=True)):
            found = [outputs["last_hidden_state"][row, start : start + length]]
            found += [outputs[pooling.output_name][segment] for pooling in encoder.poolings]
            gaps = [array_deviation(f, e)
                    for f, e in zip(found, expected[index], strict=True)]  # fmt: skip
            worst = float(np.max([worst, *gaps]))
    return worst


@torch.inference_mode()
def _head_deviation(model: MultitaskModel, task: str, examples: EncodedExamples, graph: Graph) -> float:
    every = collate(examples, range(len(examples)), pad_token_id=model.encoder.pad_token_id).inputs
    vectors = model.embed(every, model.poolings[task])
    pooled = [vectors.index_select(0, column) for column in every.rows.unbind(dim=1)]
    worst = 0.0
    for size in (*HEAD_BATCHES, len(examples)):
        part = [vectors[:size] for vectors in pooled]
        expected = model.heads[task](*part).numpy()
        found = graph.run({name: vectors.numpy() for name, vectors in zip(graph.inputs, part, strict=True)})[
            "logits"
        ]
        worst = float(np.max([worst, array_deviation(found, expected)]))
    return worst
