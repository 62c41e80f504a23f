"""The encoder as one graph: rows of sequences → token states and pooled vectors."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from export.graphs import export_graph
from export.manifest import PADDING_SEGMENT, EncoderInput, Pooling
from export.masks import attention_mask
from export.pooling import SegmentPooling
from training.encoder import SharedEncoder


class RowEncoder(nn.Module):
    """Encodes rows with transformers' own forward: no layer is rewritten.

    A mask keeps attention within a segment, and explicit ``position_ids`` restart in each. In rows of
    ``Layout.PADDED`` there is one segment each, and the mask is the ordinary one of padding.

    Args:
        encoder: Its weights are copied.
        poolings: Pooled outputs, in this order.
        max_length: Tokens of the longest segment.
    """

    def __init__(self, encoder: SharedEncoder, poolings: Sequence[Pooling], max_length: int) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(encoder.backbone)
        self.backbone.set_attn_implementation("eager")
        self.family = encoder.family
        self.position_offset = encoder.position_offset
        self.is_layered = any(pooling.is_layered for pooling in poolings)
        self.pooling = SegmentPooling(poolings, OwnPooler(self.backbone), max_length)

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        segment_ids: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Encode rows.

        Args:
            input_ids: Shape ``(rows, row_len)``.
            position_ids: Counting from the encoder's ``position_offset`` in each segment. Same shape.
            segment_ids: Unique over all rows; ``PADDING_SEGMENT`` in tails. Same shape.
            token_type_ids: Same shape, for encoders that have them.

        Returns:
            ``last_hidden_state`` of shape ``(rows, row_len, hidden_size)``, then per pooling a tensor of
            shape ``(num_segments, hidden_size)``, or ``(num_segments, num_layers + 1, hidden_size)``, in the
            order of the segments' first tokens, row by row.
        """
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.backbone(
            input_ids=input_ids,
            attention_mask=attention_mask(
                self.family, self.backbone.config, segment_ids, position_ids, dtype=self.backbone.dtype
            ),
            position_ids=position_ids,
            output_hidden_states=self.is_layered,
            **types,
        )
        states: Tensor = output.last_hidden_state
        is_first = (position_ids == self.position_offset) & (segment_ids != PADDING_SEGMENT)
        layers = output.hidden_states if self.is_layered else [states]
        return (states, *self.pooling(layers, segment_ids, is_first))


class OwnPooler(nn.Module):
    """The backbone's own pooling, over first tokens that are already picked.

    Args:
        backbone: Must have a pooler if this is called.
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.pooler: nn.Module | None = getattr(backbone, "pooler", None)
        self.activation: nn.Module | None = getattr(backbone, "pooler_activation", None)
        """ALBERT's pooler is a bare linear layer, with its activation beside it."""

    def forward(self, first_states: Tensor) -> Tensor:
        """Pool. Shape ``(num_segments, hidden_size)`` both ways."""
        if self.pooler is None:
            raise ValueError("Pooling 'pooler' needs an encoder that has a pooler.")
        pooled: Tensor
        if self.activation is None:
            pooled = self.pooler(first_states.unsqueeze(1))
        else:
            pooled = self.activation(self.pooler(first_states))
        return pooled


def encoder_inputs(encoder: SharedEncoder) -> tuple[EncoderInput, ...]:
    """Inputs of the encoder's graph, in the order of ``RowEncoder.forward``."""
    names = (EncoderInput.INPUT_IDS, EncoderInput.POSITION_IDS, EncoderInput.SEGMENT_IDS)
    return (*names, EncoderInput.TOKEN_TYPE_IDS) if encoder.uses_token_types else names


def export_encoder(encoder: SharedEncoder, file: Path, poolings: Sequence[Pooling], max_length: int) -> None:
    """Write the encoder's graph with the outputs ``last_hidden_state`` and ``pooled_<name>``.

    Args:
        encoder: Of any known family.
        file: To write.
        poolings: Pooled outputs; as ``export.pooling.exported_poolings`` gives them.
        max_length: Tokens of the longest sequence.
    """
    names = encoder_inputs(encoder)
    rows, row_len = torch.export.Dim("rows"), torch.export.Dim("row_len")
    example = _example_rows(encoder.position_offset)
    export_graph(
        RowEncoder(encoder, poolings, max_length),
        file,
        inputs={name: tensor for name, tensor in example.items() if name in names},
        outputs=["last_hidden_state", *(pooling.output_name for pooling in poolings)],
        dynamic_shapes={name: {0: rows, 1: row_len} for name in names},
    )


def _example_rows(position_offset: int) -> dict[str, Tensor]:
    """Two rows of eight tokens: three segments and two tails. Only shapes reach the graph, not the layout."""
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0], [0, 1, 2, 3, 4, 0, 0, 0]]) + position_offset
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 1, -1], [2, 2, 2, 2, 2, -1, -1, -1]])
    ones = torch.ones(2, 8, dtype=torch.int64)
    return {
        EncoderInput.INPUT_IDS: ones,
        EncoderInput.POSITION_IDS: positions,
        EncoderInput.SEGMENT_IDS: segments,
        EncoderInput.TOKEN_TYPE_IDS: torch.zeros_like(ones),
    }
