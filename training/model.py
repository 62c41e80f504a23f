"""The multitask model ``F_i(x) = H_i(E(x))``: one encoder, a head per task."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from training.batches import Batch
from training.encoder import SharedEncoder
from training.pooling import LAYERED, pool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """A task's head and the pooling it reads.

    Attributes:
        head: A module as ``training.heads.Head`` describes.
        pooling: ``cls`` or ``mean``.
    """

    head: nn.Module
    pooling: str


class MultitaskModel(nn.Module):
    """Encodes a batch once and applies one task's head.

    Args:
        encoder: Shared by all tasks.
        heads: By task name.
        train_encoder: False keeps the encoder's weights, and its dropout off.
    """

    def __init__(self, encoder: SharedEncoder, heads: Mapping[str, HeadSpec], *, train_encoder: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict({name: spec.head for name, spec in heads.items()})
        self.poolings = {name: spec.pooling for name, spec in heads.items()}
        self.train_encoder = train_encoder
        self.encoder.requires_grad_(train_encoder)

    def train(self, mode: bool = True) -> "MultitaskModel":
        """Switch dropout on or off; a frozen encoder always stays in evaluation mode."""
        super().train(mode)
        if not self.train_encoder:
            self.encoder.eval()
        return self

    def forward(self, task: str, batch: Batch) -> Tensor:
        """Logits of one task.

        Args:
            task: Its name.
            batch: ``sequences_per_example`` sequences an example: all first texts, then all second ones.

        Returns:
            Shape ``(batch_size, num_outputs)``.
        """
        pooled = self.embed(batch, self.poolings[task])
        logits: Tensor = self.heads[task](*pooled.chunk(batch.sequences_per_example))
        return logits

    def embed(self, batch: Batch, pooling: str) -> Tensor:
        """Pooled vectors of the batch's sequences. Shape ``(num_sequences, hidden_size)``."""
        output = self.encoder(
            batch.input_ids,
            batch.attention_mask,
            batch.token_type_ids,
            with_hidden_states=pooling in LAYERED,
        )
        return pool(pooling, output, batch.attention_mask)
