"""Cross-stitch, sluice, asymmetric, customised and soft sharing, and the conditioned network."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.support.sharing_layers import EVEN, IN, SHAPE, TASKS, build, inputs
from training.sharing import (
    AsymmetricSharing,
    CrossStitch,
    CustomisedSharing,
    Modulated,
    SharedBottom,
    Sluice,
    SoftSharing,
    TowerShape,
    users_of,
)
from training.sharing.cross_stitch import convex_start
from training.sharing.sluice import orthogonality_penalty


@given(size=st.integers(1, 8), own=st.floats(0.1, 1.0))
def test_mixing_starts_convex(size: int, own: float) -> None:
    start = convex_start(size, own)
    torch.testing.assert_close(start.sum(dim=1), torch.ones(size))
    assert (start >= -1e-6).all()
    torch.testing.assert_close(start.diagonal(), torch.full((size,), own if size > 1 else 1.0))


def test_two_tasks_start_with_nine_tenths_of_their_own() -> None:
    torch.testing.assert_close(convex_start(2, 0.9), torch.tensor([[0.9, 0.1], [0.1, 0.9]]))


def test_cross_stitch_with_identity_is_independent_networks() -> None:
    layer, x = build("cross_stitch"), inputs(6)
    with torch.no_grad():
        for stitch in layer.stitches:  # type: ignore[union-attr]
            stitch.copy_(torch.eye(len(TASKS)))
    for task in TASKS:
        torch.testing.assert_close(layer(x, task), nn.Sequential(*layer.columns[task])(x))  # type: ignore[misc, index]


def test_the_last_stitch_of_a_task_is_its_own_row_and_columns_are_everyones() -> None:
    layer = CrossStitch(TASKS, SHAPE, own=0.9, rate_factor=100.0)
    assert set(users_of(layer, in_features=IN).values()) == {frozenset(TASKS)}
    assert [id(p) for p in layer.mixing_parameters()] == [id(p) for p in layer.stitches]
    assert layer.mixing_rate_factor == 100


def test_sluice_with_identity_and_the_last_layer_is_the_plain_stack() -> None:
    layer, x = build("sluice"), inputs(6)
    with torch.no_grad():
        for mix in layer.subspace_mixes:  # type: ignore[union-attr]
            mix.copy_(torch.eye(2 * len(TASKS)))
        for mix in layer.layer_mixes:  # type: ignore[union-attr]
            mix.copy_(torch.tensor([0.0, 1.0]))
    for task in TASKS:
        torch.testing.assert_close(layer(x, task), nn.Sequential(*layer.columns[task])(x))  # type: ignore[misc, index]


def test_a_sluice_cuts_even_layers_of_one_width() -> None:
    for widths in ((4, 6), (5, 5)):
        with pytest.raises(ValueError, match="one, even width"):
            Sluice(TASKS, TowerShape(in_features=IN, widths=widths), own=0.9, penalty=0, rate_factor=1)


def test_the_orthogonality_penalty_is_zero_for_orthogonal_subspaces_alone() -> None:
    orthogonal = torch.linalg.qr(torch.randn(6, 6))[0]
    assert orthogonality_penalty(orthogonal) < 1e-10
    first, second = orthogonal.chunk(2)
    mixed = torch.cat([first, second + 0.1 * first])
    assert orthogonality_penalty(mixed).item() == pytest.approx(3 * 0.1**2, rel=1e-4)
    weight = torch.randn(6, 5)
    by_hand = sum(float(weight[i] @ weight[3 + j]) ** 2 for i in range(3) for j in range(3))
    assert orthogonality_penalty(weight).item() == pytest.approx(by_hand, rel=1e-4)


def test_a_sluices_penalty_is_over_all_layers_of_all_columns() -> None:
    layer = build("sluice")
    assert isinstance(layer, Sluice)
    weights = [p for name, p in layer.named_parameters() if name.endswith("1.weight")]
    assert len(weights) == 2 * len(TASKS)
    expected = 0.1 * sum(orthogonality_penalty(weight).item() for weight in weights)
    penalty = layer.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(expected, rel=1e-5)


def test_a_task_reads_the_towers_it_is_said_to_read_and_lends_its_own() -> None:
    layer = AsymmetricSharing(TASKS, SHAPE, reads={"a": ["b"]}, fusion="sum")
    users = users_of(layer, in_features=IN)
    by_owner = {name.split(".")[1]: tasks for name, tasks in users.items()}
    assert by_owner == {"a": {"a"}, "b": {"a", "b"}, "c": {"c"}}
    x = inputs(4)
    torch.testing.assert_close(layer(x, "a"), layer.towers["a"](x) + layer.towers["b"](x))
    torch.testing.assert_close(layer(x, "b"), layer.towers["b"](x))


@pytest.mark.parametrize(("fusion", "width"), [("concat", 12), ("sum", 6), ("mean", 6)])
def test_customised_sharing_joins_the_own_tower_with_the_shared_one(fusion: str, width: int) -> None:
    layer = CustomisedSharing(TASKS, SHAPE, fusion=fusion)
    assert layer.out_features("a") == width
    assert layer(inputs(4), "a").shape == (4, width)
    by_owner = {name.split(".")[1]: tasks for name, tasks in users_of(layer, in_features=IN).items()}
    assert by_owner == {**{task: {task} for task in TASKS}, "_shared": set(TASKS)}


def test_soft_sharing_starts_equal_and_its_penalty_pulls_to_the_mean() -> None:
    layer = SoftSharing(TASKS, SHAPE, penalty=0.5)
    assert torch.equal(layer(inputs(4), "a"), layer(inputs(4), "c"))
    assert layer.penalty().item() == pytest.approx(0, abs=1e-9)
    weight = layer.towers["a"][0][1].weight  # type: ignore[index, union-attr]
    with torch.no_grad():
        weight[0, 0] += 3.0  # the mean moves by 1: deviations 2, −1, −1
    assert layer.penalty().item() == pytest.approx(0.5 * (4 + 1 + 1) / 3, rel=1e-4)
    layer.penalty().backward()
    gradients = [layer.towers[task][0][1].weight.grad[0, 0].item() for task in TASKS]  # type: ignore[index, union-attr]
    assert gradients == pytest.approx([0.5 * 2 / 3 * d for d in (2, -1, -1)], rel=1e-4)


@pytest.mark.parametrize(("scales", "shifts"), [(True, True), (True, False), (False, True)])
def test_modulation_starts_as_hard_sharing(scales: bool, shifts: bool) -> None:
    layer, hard = Modulated(TASKS, EVEN, scales=scales, shifts=shifts), SharedBottom(TASKS, EVEN)
    hard.trunk.load_state_dict(layer.trunk.state_dict())
    for task in TASKS:
        torch.testing.assert_close(layer(inputs(4), task), hard(inputs(4), task))
