import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from training.heads import COMBINES, BiEncoderHead, PooledHead, ScaledSigmoid, build_body, combined_size

A = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
B = torch.tensor([[4.0, -3.0], [2.0, 0.0]])


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        ("concat", [[3, 4, 4, -3], [1, 0, 2, 0]]),
        ("diff_product", [[1, 7, 12, -12], [1, 0, 2, 0]]),
        ("full", [[3, 4, 4, -3, 1, 7, 12, -12], [1, 0, 2, 0, 1, 0, 2, 0]]),
        ("cosine", [[0.0], [1.0]]),
    ],
)
def test_combines_are_what_their_definitions_say(combine: str, expected: list[list[float]]) -> None:
    found = COMBINES[combine](A, B)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
    assert found.shape[-1] == combined_size(combine, 2)


@pytest.mark.parametrize(
    ("combine", "symmetric"), [("diff_product", True), ("cosine", True), ("concat", False), ("full", False)]
)
def test_only_diff_product_and_cosine_are_symmetric(combine: str, symmetric: bool) -> None:
    a, b = torch.randn(2, 4, 6)
    head = BiEncoderHead(combine, build_body(combined_size(combine, 6), 3, hidden=[5])).eval()
    assert torch.allclose(head(a, b), head(b, a)) is symmetric


@pytest.mark.parametrize("combine", COMBINES)
def test_a_pairs_logits_do_not_depend_on_its_neighbours(combine: str) -> None:
    a, b = torch.randn(2, 4, 6)
    head = BiEncoderHead(combine, build_body(combined_size(combine, 6), 3)).eval()
    torch.testing.assert_close(head(a, b)[2:3], head(a[2:3], b[2:3]))


def test_cosine_of_a_zero_vector_is_finite() -> None:
    assert COMBINES["cosine"](torch.zeros(1, 4), torch.ones(1, 4)).tolist() == [[0.0]]


@given(low=st.floats(-100, 100), width=st.floats(0.1, 100), logit=st.floats(-1e4, 1e4))
def test_scaled_sigmoid_stays_within_its_bounds(low: float, width: float, logit: float) -> None:
    value = float(ScaledSigmoid(low, low + width)(torch.tensor(logit, dtype=torch.float64)))
    assert low <= value <= low + width + 1e-9


def test_scaled_sigmoid_is_the_middle_at_zero_and_rises() -> None:
    sigmoid = ScaledSigmoid(0, 5)
    values = sigmoid(torch.tensor([-4.0, 0.0, 4.0]))
    assert values[1] == 2.5
    assert values[0] < values[1] < values[2]
    torch.testing.assert_close(values, 5 * torch.sigmoid(torch.tensor([-4.0, 0.0, 4.0])))


def shapes_of(body: nn.Sequential) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in body if isinstance(layer, nn.Linear)]


def test_an_mlp_has_relu_between_its_layers_and_dropout_before_each() -> None:
    body = build_body(8, 3, hidden=[6, 4], dropout=0.3)
    assert shapes_of(body) == [(8, 6), (6, 4), (4, 3)]
    kinds = [type(layer) for layer in body]
    assert kinds == [nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert {layer.p for layer in body if isinstance(layer, nn.Dropout)} == {0.3}


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_nothing_follows_the_last_linear_layer_of_labels(hidden: tuple[int, ...]) -> None:
    body = build_body(8, 3, hidden=hidden)
    assert isinstance(body[-1], nn.Linear)
    logits = PooledHead(body).eval()(torch.randn(64, 8) * 10)
    assert (logits < 0).any()
    assert not torch.allclose(logits.sum(dim=1), torch.ones(64)), "no softmax: the loss has it"


def test_a_bounded_value_ends_with_its_scaled_sigmoid() -> None:
    body = build_body(8, 1, value_range=(0, 5))
    assert isinstance(body[-1], ScaledSigmoid)
    values: Tensor = body(torch.randn(64, 8) * 100)
    assert values.min() >= 0
    assert values.max() <= 5


def test_a_value_over_a_cosine_starts_by_rising_with_it_and_is_never_dropped() -> None:
    body = build_body(1, 1, dropout=0.5, value_range=(0, 5)).train()
    low, high = body(torch.tensor([[0.0], [1.0]]))[:, 0].tolist()
    assert low < 2.5 < high
    assert {layer.p for layer in body if isinstance(layer, nn.Dropout)} == {0.0}


def test_heads_name_the_vectors_they_take() -> None:
    assert PooledHead.input_names == ("pooled",)
    assert BiEncoderHead.input_names == ("pooled_a", "pooled_b")
