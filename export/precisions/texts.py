"""What calibration and judgement read: train rows for the one, dev rows for the other. No chance involved."""

from collections.abc import Iterator, Mapping

import numpy as np

from export.errors import ExportError
from export.manifest import EncoderEntry
from export.packing import PackedRows, pack_rows
from training.assembly.trained import TrainedModel
from training.config.tasks import HubSplit
from training.data import encode_examples, load_examples
from training.errors import DataError
from training.examples import EncodedExamples, Examples
from training.tokenization import TokenSequence

CALIBRATION_SEQUENCES = 512
"""Over all tasks, shared evenly."""
CALIBRATION_ROWS = 8
"""Rows of a calibration batch."""


def calibration_batches(trained: TrainedModel, encoder: EncoderEntry) -> Iterator[PackedRows]:
    """Train sequences of every task in rows, in a fixed order.

    Raises:
        ExportError: If a task's train data cannot be read.
    """
    sequences = list(calibration_sequences(trained))
    row_len = max(len(sequence.input_ids) for sequence in sequences)
    for start in range(0, len(sequences), CALIBRATION_ROWS):
        yield pack_rows(
            sequences[start : start + CALIBRATION_ROWS],
            row_len=row_len,
            position_offset=encoder.position_offset,
            pad_token_id=encoder.pad_token_id,
            layout=encoder.layout,
        )


def calibration_sequences(trained: TrainedModel) -> Iterator[TokenSequence]:
    """Sequences of evenly spaced train rows, as many for every task."""
    share = -(-CALIBRATION_SEQUENCES // len(trained.tasks))
    for name, task in trained.tasks.items():
        examples = _load(trained, name, trained.config.tasks[name].data.train, "calibration")
        encoded = encode_examples(task, spaced(examples, share), trained.tokenizer)
        every = [sequence for example in encoded.sequences for sequence in example]
        yield from every[:share]


def dev_rows(trained: TrainedModel, *, max_rows: int) -> Mapping[str, EncodedExamples]:
    """Every task's dev rows, or evenly spaced ones of more than ``max_rows``.

    Raises:
        ExportError: If a task's dev data cannot be read.
    """
    return {
        name: encode_examples(
            task,
            spaced(_load(trained, name, trained.config.tasks[name].data.dev, "judgement"), max_rows),
            trained.tokenizer,
        )
        for name, task in trained.tasks.items()
    }


def spaced(examples: Examples, count: int) -> Examples:
    """At most so many examples, spread evenly."""
    if len(examples) <= count:
        return examples
    return examples.take(np.linspace(0, len(examples) - 1, count).round().astype(int))


def _load(trained: TrainedModel, name: str, source: str | HubSplit, purpose: str) -> Examples:
    try:
        return load_examples(trained.tasks[name], source)
    except (DataError, OSError) as error:
        raise ExportError(f"The {purpose} of precisions reads rows of {name!r}: {error}") from error
