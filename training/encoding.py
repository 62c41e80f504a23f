"""What an encoder gives, and what a model needs of one."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from training.batches import Batch

LAST_HIDDEN_STATE = "last_hidden_state"
"""The reading of heads over token states; the others are poolings, by their names."""


class EncoderOutput(NamedTuple):
    """What an encoder gives for padded sequences.

    Attributes:
        last_hidden_state: Shape ``(num_sequences, seq_len, hidden_size)``.
        pooler_output: The family's own pooling, where it has one. Shape ``(num_sequences, hidden_size)``.
        hidden_states: Of the embeddings and of every layer, the last equal to ``last_hidden_state``; only if
            asked for. ``num_layers + 1`` tensors of its shape.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


class Encoder(nn.Module, ABC):
    """The part that all tasks share: padded sequences → what heads read of them."""

    @property
    @abstractmethod
    def config(self) -> PretrainedConfig:
        """The configuration in transformers.

        Raises:
            ValueError: If the encoder has none.
        """

    @property
    @abstractmethod
    def hidden_size(self) -> int:
        """Width of the token states."""

    @property
    @abstractmethod
    def num_layers(self) -> int:
        """Transformer layers; a layered pooling has one vector more, of the embeddings."""

    @property
    @abstractmethod
    def pad_token_id(self) -> int:
        """Id written into padding; masked everywhere."""

    def choose_attention(self, device: torch.device) -> None:
        """Take the implementation of attention that trains fastest on a device; the function is the same.

        Args:
            device: That the encoder is on.
        """

    @abstractmethod
    def digest(self) -> str:
        """Hexadecimal hash of all that decides what ``read`` gives: the same for the same weights."""

    @abstractmethod
    def read(self, batch: Batch, readings: Sequence[str]) -> dict[str, Tensor]:
        """Encode a batch once.

        Args:
            batch: Any sequences.
            readings: ``LAST_HIDDEN_STATE`` and poolings.

        Returns:
            Token states of shape ``(num_sequences, seq_len, hidden_size)``; of a pooling what
            ``training.pooling.pool`` gives.
        """

    @abstractmethod
    def faults(self, *, max_length: int, poolings: Iterable[str]) -> list[str]:
        """What a configuration asks that the encoder does not have, in words.

        Args:
            max_length: Tokens a sequence keeps.
            poolings: All that the tasks read.
        """

    @abstractmethod
    def save_description(self, folder: Path) -> None:
        """Write what a checkpoint needs beside the weights to build the encoder again."""
