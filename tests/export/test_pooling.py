"""Poolings over packed rows equal the padded ones of training."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from export.manifest import Pooling
from export.pooling import SegmentPooling, exported_poolings
from training.encoder import EncoderOutput
from training.pooling import pool

WIDTH, NUM_LAYERS, MAX_LENGTH = 3, 2, 11

rows_of_lengths = st.lists(st.lists(st.integers(1, MAX_LENGTH), max_size=4), min_size=1, max_size=5).filter(
    any
)


class DoubledFirst(nn.Module):
    def forward(self, first_states: Tensor) -> Tensor:
        return 2 * first_states


def pack(rows: list[list[int]], room: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """Random states of every layer with garbage in the tails, segment ids, and which tokens are first."""
    row_len = max(map(sum, rows)) + room
    segment_ids = torch.full((len(rows), row_len), -1)
    is_first = torch.zeros(len(rows), row_len, dtype=torch.bool)
    segment = 0
    for row, lengths in enumerate(rows):
        start = 0
        for length in lengths:
            segment_ids[row, start : start + length] = segment
            is_first[row, start] = True
            segment, start = segment + 1, start + length
    tails = (segment_ids < 0).unsqueeze(-1)
    layers = [torch.randn(*segment_ids.shape, WIDTH).masked_fill(tails, 1e6) for _ in range(NUM_LAYERS + 1)]
    return layers, segment_ids, is_first


@pytest.mark.parametrize("pooling", Pooling)
@given(rows=rows_of_lengths, room=st.integers(0, 9))
def test_a_pooling_of_packed_rows_equals_trainings_of_padded_ones(
    pooling: Pooling, rows: list[list[int]], room: int
) -> None:
    layers, segment_ids, is_first = pack(rows, room)
    (found,) = SegmentPooling([pooling], DoubledFirst(), MAX_LENGTH)(layers, segment_ids, is_first)
    for segment in range(sum(map(len, rows))):
        own = tuple(layer[segment_ids == segment].unsqueeze(0) for layer in layers)
        output = EncoderOutput(last_hidden_state=own[-1], pooler_output=2 * own[-1][:, 0], hidden_states=own)
        expected = pool(pooling.value, output, torch.ones(own[-1].shape[:2]))
        # A mean of packed rows is a sum over all of them, where 1e6 times 0 stands for each tail.
        torch.testing.assert_close(found[segment], expected[0], atol=1e-5, rtol=1e-5)


def test_a_graph_has_the_poolings_that_something_reads_and_the_cheap_ones() -> None:
    assert exported_poolings([]) == (Pooling.CLS, Pooling.MEAN)
    assert exported_poolings(["mean_layers", "max", "max"]) == (
        Pooling.CLS, Pooling.MEAN, Pooling.MAX, Pooling.MEAN_LAYERS
    )  # fmt: skip
