import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sharing_layers import GATED, TASKS, build, inputs
from training.sharing.gate_use import watched_gates
from training.sharing.gates import Gate, drop_experts, weighted_sum


@given(experts=st.integers(1, 6), seed=st.integers(0, 99), dropout=st.sampled_from([0.0, 0.1, 0.9]))
def test_gates_sum_to_one_with_and_without_dropout(experts: int, seed: int, dropout: float) -> None:
    torch.manual_seed(seed)
    gate = Gate(5, [str(number) for number in range(experts)], expert_dropout=dropout).train()
    weights = gate(inputs(9, 3))
    assert weights.shape == (9, 3, experts)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(9, 3))
    assert (weights >= 0).all()


def test_what_dropout_leaves_is_renormalised() -> None:
    logits = torch.randn(200, 4)
    torch.manual_seed(3)
    dropped = drop_experts(logits, 0.5).softmax(dim=-1)
    whole, kept = logits.softmax(dim=-1), dropped > 0
    expected = torch.where(kept, whole, 0) / torch.where(kept, whole, 0).sum(dim=-1, keepdim=True)
    torch.testing.assert_close(dropped, expected)
    share = 1 - kept.float().mean()
    assert 0.4 < share < 0.5, "half of them, but never all of a row"
    assert kept.any(dim=-1).all()


def test_a_polarised_gate_survives_the_dropout_of_its_favourite() -> None:
    """The weights that are left underflow to 0, and 0 / 0 would be no gate."""
    logits = torch.tensor([[500.0, 0.0, 1.0]]).repeat(64, 1)
    torch.manual_seed(0)
    weights = drop_experts(logits, 0.5).softmax(dim=-1)
    assert weights.isfinite().all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(64))


def test_gates_drop_nothing_when_they_are_evaluated() -> None:
    gate = Gate(5, ["x", "y"], expert_dropout=0.9).eval()
    assert torch.equal(gate(inputs(50)), gate(inputs(50)))


def test_a_weighted_sum_with_one_weight_is_what_it_selects() -> None:
    first, second = torch.randn(2, 7, 3)
    weights = torch.tensor([[1.0, 0.0]]).expand(7, 2)
    torch.testing.assert_close(weighted_sum(weights, [first, second]), first)


@pytest.mark.parametrize("name", GATED)
def test_use_of_gates_is_their_mean_weights_and_entropy(name: str) -> None:
    layer = build(name)
    with watched_gates(layer) as uses:
        for task in TASKS:
            layer(inputs(40, 2), task)
            layer(inputs(8, seed=4), task)
    assert uses
    for gate_name, use in uses.items():
        gate = layer.get_submodule(gate_name)
        assert isinstance(gate, Gate)
        assert tuple(use.weights) == gate.selected
        assert sum(use.weights.values()) == pytest.approx(1)
        assert 0 < use.entropy < 1
    if name == "mmoe":
        weights = layer.gates["b"](torch.cat([inputs(40, 2).flatten(0, 1), inputs(8, seed=4)]))  # type: ignore[operator]
        torch.testing.assert_close(list(uses["gates.b"].weights.values()), weights.mean(dim=0).tolist())


def test_an_even_gate_has_entropy_one_and_a_collapsed_one_zero() -> None:
    layer = build("mmoe")
    with torch.no_grad():
        layer.gates["a"].linear.weight.zero_()  # type: ignore[union-attr, operator]
        layer.gates["b"].linear.weight.mul_(1e6)  # type: ignore[union-attr, operator]
    with watched_gates(layer) as uses:
        for task in TASKS:
            layer(inputs(30), task)
    assert uses["gates.a"].entropy == pytest.approx(1)
    assert uses["gates.b"].entropy == pytest.approx(0, abs=1e-6)


def test_watching_ends_with_its_context_and_a_layer_without_gates_has_none() -> None:
    layer = build("mmoe")
    with watched_gates(layer) as uses:
        layer(inputs(3), "a")
    assert set(uses) == {"gates.a"}, "gates that were not run are left out"
    layer(inputs(3), "b")
    assert set(uses) == {"gates.a"}
    with watched_gates(build("soft")) as uses, watched_gates(None) as none:
        pass
    assert uses == none == {}
