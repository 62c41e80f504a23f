"""Batches of one task: padded tensors, and an endless, resumable stream of them."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from training.data import EncodedExamples

MEGABATCH = 50
"""Batches that are drawn together and sorted by length, so that a batch pads little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Padded sequences of one task's examples.

    Attributes:
        input_ids: All first sequences, then all second ones. Shape ``(num_sequences, seq_len)``.
        attention_mask: 1 for tokens, 0 for padding. Same shape.
        token_type_ids: Same shape.
        labels: Indices (int64) or values (float32). Shape ``(batch_size,)``.
        sequences_per_example: ``num_sequences / batch_size``.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    labels: Tensor
    sequences_per_example: int

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            token_type_ids=self.token_type_ids.to(device),
            labels=self.labels.to(device),
            sequences_per_example=self.sequences_per_example,
        )


def collate(
    examples: "EncodedExamples",
    indices: Sequence[int] | NDArray[np.int64],
    *,
    pad_token_id: int,
    labelled: bool,
) -> Batch:
    """Pad the examples at ``indices`` to the longest of them.

    Args:
        examples: Of one task.
        indices: Which, in order.
        pad_token_id: Written behind each sequence; masked.
        labelled: Whether labels are indices (int64) instead of values (float32).
    """
    chosen = [examples.sequences[int(index)] for index in indices]
    sequences = [sequence for column in zip(*chosen, strict=True) for sequence in column]
    shape = (len(sequences), max(len(sequence.input_ids) for sequence in sequences))
    input_ids = np.full(shape, pad_token_id, dtype=np.int64)
    attention_mask = np.zeros(shape, dtype=np.int64)
    token_type_ids = np.zeros(shape, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        length = len(sequence.input_ids)
        input_ids[row, :length] = sequence.input_ids
        attention_mask[row, :length] = 1
        token_type_ids[row, :length] = sequence.token_type_ids
    labels = examples.labels[[int(index) for index in indices]]
    return Batch(
        input_ids=torch.from_numpy(input_ids),
        attention_mask=torch.from_numpy(attention_mask),
        token_type_ids=torch.from_numpy(token_type_ids),
        labels=torch.from_numpy(labels.astype(np.int64 if labelled else np.float32)),
        sequences_per_example=len(chosen[0]),
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
