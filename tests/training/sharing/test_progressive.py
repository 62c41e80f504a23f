import pytest
import torch

from tests.support.sharing_layers import IN, SHAPE, TASKS, build, inputs
from training.sharing import ProgressiveLayeredExtraction, users_of
from training.sharing.progressive import SHARED

ALL = frozenset(TASKS)


def ple(levels: int) -> ProgressiveLayeredExtraction:
    return ProgressiveLayeredExtraction(TASKS, SHAPE, levels=levels, task_experts=1, shared_experts=1)


def test_other_tasks_experts_get_no_gradient_and_shared_ones_get_all() -> None:
    users = users_of(build("cgc"), in_features=IN)
    for name, tasks in users.items():
        owner = name.split(".")[3]
        assert tasks == (ALL if owner == SHARED else {owner}), name


def test_depth_one_is_customised_gate_control() -> None:
    """``y_k = softmax(W_k·x)·[E_k; E_s]``, written out."""
    layer, x = ple(1), inputs(6)
    (level,) = layer.levels
    for task in TASKS:
        own, shared = level.experts[task][0](x), level.experts[SHARED][0](x)  # type: ignore[index]
        weights = level.gates[task](x)
        expected = weights[:, :1] * own + weights[:, 1:] * shared
        torch.testing.assert_close(layer(x, task), expected)
    assert "cgc" in layer.describe("a")
    assert "ple" in ple(2).describe("a")


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_every_level_but_the_last_has_a_shared_gate_over_all_experts(levels: int) -> None:
    *lower, top = ple(levels).levels
    assert SHARED not in top.gates
    for level in lower:
        assert level.gates[SHARED].selected == ("a_0", "b_0", "c_0", "shared_0")
        assert level.gates["a"].selected == ("a_0", "shared_0")


def test_a_task_reaches_anothers_lower_experts_and_never_its_upper_ones() -> None:
    users = users_of(ple(2), in_features=IN)
    for name, tasks in users.items():
        _, level, part, owner, *_ = name.split(".")
        if level == "1":
            assert tasks == (ALL if owner == SHARED else {owner}), name
        elif part == "experts" or owner == SHARED:
            assert tasks == ALL, name
        else:
            assert tasks == {owner}, name


def test_the_shared_gate_is_the_only_way_to_anothers_experts() -> None:
    """With its weight on the others' experts shut, task a's answer does not depend on them."""
    layer, x = ple(2), inputs(6)
    lowest = layer.levels[0]

    def moved() -> bool:
        before = layer(x, "a")
        with torch.no_grad():
            for parameter in lowest.experts["b"].parameters():
                parameter.add_(torch.randn_like(parameter))
        return not torch.equal(before, layer(x, "a"))

    assert moved()
    lowest.gates[SHARED].register_forward_hook(lambda _, __, weights: weights * torch.tensor([1.0, 0, 1, 1]))
    assert not moved()


def test_a_task_computes_no_more_than_it_needs() -> None:
    """Three levels: on the second all experts, but the gates of the task and the shared one alone."""
    layer, run = ple(3), []
    for name, module in layer.named_modules():
        if name.endswith(".linear") or name.count(".") == 4:  # a gate's or an expert's
            module.register_forward_hook(lambda *_, name=name: run.append(name))
    layer(inputs(2), "a")
    gates = [{name.split(".")[3] for name in run if name.startswith(f"levels.{n}.gates")} for n in range(3)]
    experts = [
        {name.split(".")[3] for name in run if name.startswith(f"levels.{n}.experts")} for n in range(3)
    ]
    assert gates == [{*TASKS, SHARED}, {"a", SHARED}, {"a"}]
    assert experts == [{*TASKS, SHARED}, {*TASKS, SHARED}, {"a", SHARED}]
    assert len(run) == len(set(run)), "each once"
