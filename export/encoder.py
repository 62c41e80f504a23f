"""The packed encoder as one graph: rows of end-to-end sequences → token states and pooled vectors."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from export.errors import ExportError
from export.graphs import export_graph
from export.manifest import EncoderInput, Pooling
from training.encoder import SharedEncoder

PACKABLE = ("bert",)
"""Families whose packed form is checked: absolute positions, full attention."""


class PackedEncoder(nn.Module):
    """Encodes packed rows with transformers' own forward.

    A 4-D *float additive* mask keeps attention within a segment (a boolean one is silently wrong), and
    explicit ``position_ids`` restart in each; no layer is rewritten.

    Args:
        encoder: Its weights are copied.
        poolings: Pooled outputs, in this order.
        position_offset: ``position_ids`` of a sequence's first token.
    """

    def __init__(self, encoder: SharedEncoder, poolings: Sequence[Pooling], position_offset: int) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(encoder.backbone)
        self.backbone.set_attn_implementation("eager")
        self.poolings = tuple(poolings)
        self.position_offset = position_offset

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
            position_ids: Counting from ``position_offset`` in each segment. Same shape.
            segment_ids: Unique over all rows; ``PADDING_SEGMENT`` in tails. Same shape.
            token_type_ids: Same shape, for encoders that have them.

        Returns:
            ``last_hidden_state`` of shape ``(rows, row_len, hidden_size)``, then per pooling a tensor of
            shape ``(num_segments, hidden_size)`` in the order of the segments' first tokens, row by row.
        """
        states = self._encode(input_ids, position_ids, segment_ids, token_type_ids)
        flat_states, flat_segments = states.flatten(0, 1), segment_ids.flatten()
        is_first = (position_ids.flatten() == self.position_offset) & (flat_segments >= 0)
        first = is_first.nonzero().squeeze(1)
        pooled = {Pooling.CLS: flat_states[first]}
        if Pooling.MEAN in self.poolings:
            # A matrix product instead of scattering: ONNX Runtime's ScatterElements runs on one thread.
            member = (flat_segments[first].unsqueeze(1) == flat_segments.unsqueeze(0)).to(states.dtype)
            pooled[Pooling.MEAN] = (member @ flat_states) / member.sum(dim=1, keepdim=True)
        return (states, *(pooled[pooling] for pooling in self.poolings))

    def _encode(
        self, input_ids: Tensor, position_ids: Tensor, segment_ids: Tensor, token_type_ids: Tensor | None
    ) -> Tensor:
        same = (segment_ids.unsqueeze(2) == segment_ids.unsqueeze(1)).unsqueeze(1)
        dtype = next(self.backbone.parameters()).dtype
        blocked = torch.tensor(torch.finfo(dtype).min, dtype=dtype)
        mask = torch.where(same, torch.zeros((), dtype=dtype), blocked)
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.backbone(input_ids=input_ids, attention_mask=mask, position_ids=position_ids, **types)
        states: Tensor = output.last_hidden_state
        return states


def encoder_inputs(encoder: SharedEncoder) -> tuple[EncoderInput, ...]:
    """Inputs of the encoder's graph, in the order of ``PackedEncoder.forward``."""
    names = (EncoderInput.INPUT_IDS, EncoderInput.POSITION_IDS, EncoderInput.SEGMENT_IDS)
    return (*names, EncoderInput.TOKEN_TYPE_IDS) if encoder.uses_token_types else names


def check_packable(encoder: SharedEncoder) -> None:
    """Refuse a family whose packed form is not known to equal its own forward.

    Raises:
        ExportError: Naming the family and those that work.
    """
    model_type = encoder.config.model_type
    if model_type not in PACKABLE:
        raise ExportError(
            f"Encoders of family {model_type!r} cannot be packed. These can: {', '.join(PACKABLE)}."
        )


def export_encoder(
    encoder: SharedEncoder, file: Path, poolings: Sequence[Pooling], position_offset: int
) -> None:
    """Write the packed encoder's graph with the outputs ``last_hidden_state`` and ``pooled_<name>``."""
    names = encoder_inputs(encoder)
    rows, row_len = torch.export.Dim("rows"), torch.export.Dim("row_len")
    export_graph(
        PackedEncoder(encoder, poolings, position_offset),
        file,
        inputs={name: tensor for name, tensor in _example_rows(position_offset).items() if name in names},
        outputs=["last_hidden_state", *(pooling.output_name for pooling in poolings)],
        dynamic_shapes={name: {0: rows, 1: row_len} for name in names},
    )


def _example_rows(position_offset: int) -> dict[str, Tensor]:
    """Two rows of eight tokens: three segments and two tails."""
    positions = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0], [0, 1, 2, 3, 4, 0, 0, 0]]) + position_offset
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 1, -1], [2, 2, 2, 2, 2, -1, -1, -1]])
    ones = torch.ones(2, 8, dtype=torch.int64)
    return {
        EncoderInput.INPUT_IDS: ones,
        EncoderInput.POSITION_IDS: positions,
        EncoderInput.SEGMENT_IDS: segments,
        EncoderInput.TOKEN_TYPE_IDS: torch.zeros_like(ones),
    }
