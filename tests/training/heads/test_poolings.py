import pytest
import torch
from hypothesis import given
from torch import nn

from tests.support.layouts import MAX_LENGTH, Layout, layouts
from training.heads.poolings import (
    SEGMENT_POOLINGS,
    AttentionPooling,
    LayerMix,
    build_segment_pooling,
)


def pooling(name: str, hidden_size: int = 8) -> nn.Module:
    built = build_segment_pooling(name, hidden_size=hidden_size, max_length=MAX_LENGTH)
    torch.manual_seed(1)
    for parameter in built.parameters():
        nn.init.normal_(parameter)
    return built


@pytest.mark.parametrize("name", SEGMENT_POOLINGS)
@given(layout=layouts)
def test_a_pooled_vector_is_the_same_packed_padded_and_alone(name: str, layout: Layout) -> None:
    pool = pooling(name)
    alone = torch.cat([pool(*layout.alone(index)) for index in range(len(layout.sequences))])
    torch.testing.assert_close(pool(*layout.packed), alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pool(*layout.padded), alone, atol=1e-5, rtol=1e-5)


@given(layout=layouts)
def test_poolings_are_what_their_names_say(layout: Layout) -> None:
    expected = {
        "cls": torch.stack([sequence[0] for sequence in layout.sequences]),
        "mean": torch.stack([sequence.mean(dim=0) for sequence in layout.sequences]),
        "max": torch.stack([sequence.amax(dim=0) for sequence in layout.sequences]),
    }
    for name, vectors in expected.items():
        torch.testing.assert_close(pooling(name)(*layout.packed), vectors, atol=1e-5, rtol=1e-5)


@given(layout=layouts)
def test_attention_weighs_tokens_by_the_softmax_of_their_product_with_the_query(layout: Layout) -> None:
    attention = AttentionPooling(8)
    nn.init.normal_(attention.query)
    expected = [
        ((sequence @ attention.query) / 8**0.5).softmax(dim=0) @ sequence for sequence in layout.sequences
    ]
    torch.testing.assert_close(attention(*layout.packed), torch.stack(expected), atol=1e-5, rtol=1e-5)


@given(layout=layouts)
def test_attention_starts_as_the_mean(layout: Layout) -> None:
    expected = torch.stack([sequence.mean(dim=0) for sequence in layout.sequences])
    torch.testing.assert_close(AttentionPooling(8)(*layout.packed), expected, atol=1e-5, rtol=1e-5)


def test_the_query_learns_from_every_token() -> None:
    attention = AttentionPooling(4)
    states = torch.randn(1, 5, 4, requires_grad=True)
    attention(states, torch.tensor([[0, 0, 0, 1, 1]])).square().sum().backward()
    assert attention.query.grad is not None
    assert attention.query.grad.abs().min() > 0
    assert states.grad is not None
    assert states.grad.abs().amin() > 0


def test_a_layer_mix_starts_as_the_layers_mean_and_weighs_by_softmax() -> None:
    mix, layered = LayerMix(2), torch.randn(5, 3, 8)
    torch.testing.assert_close(mix(layered), layered.mean(dim=1))
    mix.weights.data = torch.tensor([0.0, 1.0, 2.0])
    expected = torch.einsum("j,bjh->bh", torch.tensor([0.0, 1.0, 2.0]).softmax(0), layered)
    torch.testing.assert_close(mix(layered), expected)


def test_a_pooling_of_another_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"one of cls, mean, max, attention\. Found 'pooler'"):
        build_segment_pooling("pooler", hidden_size=8, max_length=9)
