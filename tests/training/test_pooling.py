from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from export.manifest import Pooling
from training.encoding import EncoderOutput
from training.pooling import LAYERED, POOLINGS, pool

WIDTH, NUM_LAYERS = 3, 2
OVER_TOKENS = ("cls", "mean", "max", "cls_layers", "mean_layers")
"""Poolings that this module computes; ``pooler`` is the encoder's."""

shapes = {"lengths": st.lists(st.integers(1, 7), min_size=1, max_size=5), "padding": st.integers(0, 6)}


def padded(lengths: list[int], padding: int) -> tuple[EncoderOutput, Tensor]:
    """Random states with garbage in the padding, and their mask."""
    generator = torch.Generator().manual_seed(sum(lengths))
    mask = torch.tensor([[1] * length + [0] * (7 - length) for length in lengths])
    garbage = torch.full((len(lengths), padding, WIDTH), 1e6)
    layers = []
    for _ in range(NUM_LAYERS + 1):
        states = torch.randn(len(lengths), 7, WIDTH, generator=generator)
        layers.append(torch.cat([states.masked_fill(mask.unsqueeze(-1) == 0, 1e6), garbage], dim=1))
    output = EncoderOutput(last_hidden_state=layers[-1], hidden_states=tuple(layers))
    return output, torch.nn.functional.pad(mask, (0, padding))


@pytest.mark.parametrize("pooling", OVER_TOKENS)
@given(**shapes)
def test_padding_changes_nothing(pooling: str, lengths: list[int], padding: int) -> None:
    bare, longer = padded(lengths, 0), padded(lengths, padding)
    torch.testing.assert_close(pool(pooling, *longer), pool(pooling, *bare))


@pytest.mark.parametrize(
    ("pooling", "naive"),
    [("cls", lambda s: s[0]), ("mean", lambda s: s.sum(0) / len(s)), ("max", lambda s: s.max(0).values)],
)
@given(**shapes)
def test_a_pooling_equals_the_naive_loop_over_real_tokens(
    pooling: str, naive: Callable[[Tensor], Tensor], lengths: list[int], padding: int
) -> None:
    output, mask = padded(lengths, padding)
    expected = [naive(s[:n]) for s, n in zip(output.last_hidden_state, lengths, strict=True)]
    torch.testing.assert_close(pool(pooling, output, mask), torch.stack(expected))


@pytest.mark.parametrize("pooling", LAYERED)
@given(**shapes)
def test_a_layered_pooling_is_the_plain_one_of_every_layer(
    pooling: str, lengths: list[int], padding: int
) -> None:
    output, mask = padded(lengths, padding)
    assert output.hidden_states is not None
    found = pool(pooling, output, mask)
    assert found.shape == (len(lengths), NUM_LAYERS + 1, WIDTH)
    for layer, states in enumerate(output.hidden_states):
        plain = pool(pooling.removesuffix("_layers"), EncoderOutput(last_hidden_state=states), mask)
        torch.testing.assert_close(found[:, layer], plain)


def test_pooler_is_the_encoders_own() -> None:
    output, mask = padded([3, 5], 2)
    own = torch.randn(2, WIDTH)
    assert pool("pooler", output._replace(pooler_output=own), mask) is own


@pytest.mark.parametrize(
    ("pooling", "missing"),
    [("pooler", "pooler_output"), ("cls_layers", "hidden_states"), ("mean_layers", "hidden_states")],
)
def test_an_output_that_lacks_what_a_pooling_reads_is_refused(pooling: str, missing: str) -> None:
    output, mask = padded([1], 0)
    with pytest.raises(ValueError, match=f"Pooling '{pooling}' reads {missing}"):
        pool(pooling, output._replace(hidden_states=None), mask)


def test_an_unknown_pooling_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Found 'median'"):
        pool("median", *padded([1], 0))


def test_the_bundle_knows_the_same_poolings() -> None:
    assert tuple(Pooling) == POOLINGS
    assert [pooling for pooling in Pooling if pooling.is_layered] == list(LAYERED)
