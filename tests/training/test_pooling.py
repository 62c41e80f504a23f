import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.pooling import pool

shapes = {"lengths": st.lists(st.integers(1, 7), min_size=1, max_size=5), "padding": st.integers(0, 6)}


def padded(lengths: list[int], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random states with garbage in the padding, and their mask."""
    generator = torch.Generator().manual_seed(sum(lengths))
    states = torch.randn(len(lengths), 7, 3, generator=generator)
    mask = torch.tensor([[1] * length + [0] * (7 - length) for length in lengths])
    states = torch.cat([states, torch.full((len(lengths), padding, 3), 1e6)], dim=1)
    return states, torch.nn.functional.pad(mask, (0, padding))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@given(**shapes)
def test_padding_changes_nothing(pooling: str, lengths: list[int], padding: int) -> None:
    bare, longer = padded(lengths, 0), padded(lengths, padding)
    torch.testing.assert_close(pool(pooling, *longer), pool(pooling, *bare))


@given(**shapes)
def test_mean_equals_the_naive_loop_over_real_tokens(lengths: list[int], padding: int) -> None:
    states, mask = padded(lengths, padding)
    expected = torch.stack(
        [state[:length].sum(0) / length for state, length in zip(states, lengths, strict=True)]
    )
    torch.testing.assert_close(pool("mean", states, mask), expected)


def test_cls_is_the_first_tokens_state() -> None:
    states, mask = padded([3, 5], 2)
    assert torch.equal(pool("cls", states, mask), states[:, 0])


def test_an_unknown_pooling_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Found 'max'"):
        pool("max", *padded([1], 0))
