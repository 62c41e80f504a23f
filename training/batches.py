"""Batches of one task: padded tensors, and an endless, resumable stream of them."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.examples import EncodedExamples, Indices
from training.segments import as_segments
from training.tokenization import TokenSequence

MEGABATCH = 50
"""Batches that are drawn together and sorted by length, so that a batch pads little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded sequences, and what one task's head makes of them.

    Attributes:
        input_ids: Shape ``(num_sequences, seq_len)``.
        attention_mask: 1 for tokens, 0 for padding. Same shape.
        token_type_ids: Same shape.
        rows: The sequences that each row of logits reads: one, or the two of a bi-encoded pair. Shape
            ``(num_rows, 1 or 2)``.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    rows: Tensor

    @property
    def segment_ids(self) -> Tensor:
        """Every token's sequence, as in packed rows. Shape ``(num_sequences, seq_len)``."""
        return as_segments(self.attention_mask)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            token_type_ids=self.token_type_ids.to(device),
            rows=self.rows.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledBatch:
    """Examples of one task to learn from.

    Attributes:
        inputs: What the model reads.
        targets: Of all examples, end to end: see ``EncodedExamples.targets``.
        example_ids: Which example of the batch each row of logits belongs to. Shape ``(num_rows,)``.
    """

    inputs: Batch
    targets: Tensor
    example_ids: Tensor

    def to(self, device: torch.device) -> "LabelledBatch":
        """The same batch on a device."""
        return LabelledBatch(
            inputs=self.inputs.to(device),
            targets=self.targets.to(device),
            example_ids=self.example_ids.to(device),
        )


def pad(
    sequences: Sequence[TokenSequence], rows: NDArray[np.int64] | None = None, *, pad_token_id: int
) -> Batch:
    """Pad sequences to the longest of them.

    Args:
        sequences: At least one.
        rows: As in ``Batch``; each sequence by itself if None.
        pad_token_id: Written behind each sequence; masked.
    """
    shape = (len(sequences), max(len(sequence.input_ids) for sequence in sequences))
    input_ids = np.full(shape, pad_token_id, dtype=np.int64)
    attention_mask = np.zeros(shape, dtype=np.int64)
    token_type_ids = np.zeros(shape, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        length = len(sequence.input_ids)
        input_ids[row, :length] = sequence.input_ids
        attention_mask[row, :length] = 1
        token_type_ids[row, :length] = sequence.token_type_ids
    return Batch(
        input_ids=torch.from_numpy(input_ids),
        attention_mask=torch.from_numpy(attention_mask),
        token_type_ids=torch.from_numpy(token_type_ids),
        rows=torch.from_numpy(np.arange(len(sequences))[:, None] if rows is None else rows),
    )


def collate(examples: EncodedExamples, indices: Indices, *, pad_token_id: int) -> LabelledBatch:
    """The examples at ``indices`` with their targets, their sequences in order."""
    chosen = [int(index) for index in indices]
    counts = [len(examples.sequences[index]) for index in chosen]
    rows = [examples.rows_of(index) for index in chosen]
    starts = np.cumsum([0, *counts[:-1]])
    return LabelledBatch(
        inputs=pad(
            [sequence for index in chosen for sequence in examples.sequences[index]],
            np.concatenate([start + each for start, each in zip(starts, rows, strict=True)]),
            pad_token_id=pad_token_id,
        ),
        targets=torch.from_numpy(np.concatenate([examples.targets[index] for index in chosen])),
        example_ids=torch.from_numpy(np.repeat(np.arange(len(chosen)), [len(each) for each in rows])),
    )


def epoch_batches(
    lengths: NDArray[np.int64], batch_size: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """One epoch's batches: every example once, neighbours of similar length, in random order.

    The last, smaller batch of an epoch is kept.

    Args:
        lengths: Tokens of each example. Shape ``(num_examples,)``.
        batch_size: Examples a batch.
        generator: Source of the order.
    """
    order = generator.permutation(len(lengths))
    megabatches = np.split(order, range(MEGABATCH * batch_size, len(order), MEGABATCH * batch_size))
    by_length = np.concatenate([mega[np.argsort(-lengths[mega], kind="stable")] for mega in megabatches])
    batches = np.split(by_length, range(batch_size, len(by_length), batch_size))
    return [batches[index] for index in generator.permutation(len(batches))]


class ExampleStream:
    """Endless batches of one task. The order depends on seed, task name and epoch alone.

    Args:
        name: The task's.
        lengths: Tokens of each example. Shape ``(num_examples,)``.
        batch_size: Examples a batch.
        seed: Of the whole run.
    """

    def __init__(self, name: str, lengths: NDArray[np.int64], *, batch_size: int, seed: int) -> None:
        self._entropy = [seed, zlib.crc32(name.encode())]
        self._lengths = lengths
        self._batch_size = batch_size
        self._start(epoch=0)

    def next(self) -> NDArray[np.int64]:
        """Indices of the next batch's examples."""
        if self._position == len(self._batches):
            self._start(epoch=self._epoch + 1)
        batch: NDArray[np.int64] = self._batches[self._position]
        self._position += 1
        return batch

    @property
    def num_drawn(self) -> int:
        """Batches given so far. Every epoch has as many."""
        drawn: int = self._epoch * len(self._batches) + self._position
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands."""
        return {"epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved place."""
        self._start(epoch=state["epoch"])
        self._position = state["position"]

    def _start(self, *, epoch: int) -> None:
        generator = np.random.default_rng([*self._entropy, epoch])
        self._batches = epoch_batches(self._lengths, self._batch_size, generator)
        self._epoch, self._position = epoch, 0
