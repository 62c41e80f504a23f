from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.samplers.stages import StagedSampler, budgets_of, split_over_stages

NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True)


@st.composite
def plans(draw: st.DrawFn) -> tuple[dict[str, int], list[list[str]], float]:
    """Budgets, stages and a share."""
    names = draw(NAMES)
    cuts = sorted(draw(st.sets(st.integers(1, len(names) - 1)))) if len(names) > 1 else []
    stages = [names[start:end] for start, end in zip([0, *cuts], [*cuts, len(names)], strict=True)]
    return (
        draw(st.fixed_dictionaries({n: st.integers(1, 400) for n in names})),
        stages,
        draw(st.floats(0, 0.99)),
    )


@given(plans())
def test_every_task_spends_its_budget_from_its_first_stage_on(
    plan: tuple[dict[str, int], list[list[str]], float],
) -> None:
    budgets, stages, replay = plan
    split = split_over_stages(budgets, stages, replay=replay)
    for name, budget in budgets.items():
        assert sum(stage.get(name, 0) for stage in split) == budget
    entered: set[str] = set()
    for stage, names in zip(split, stages, strict=True):
        entered |= set(names)
        assert set(stage) == entered, "stage k has tasks 1 to k"
        assert min(stage.values()) >= 0


@given(plans())
def test_the_sampler_draws_the_plan_stage_by_stage(
    plan: tuple[dict[str, int], list[list[str]], float],
) -> None:
    budgets, stages, replay = plan
    split = split_over_stages(budgets, stages, replay=replay)
    sampler = StagedSampler(split, list(budgets), seed=1)
    for stage in split:
        total = sum(stage.values())
        if total:
            assert sampler.probabilities == {name: stage.get(name, 0) / total for name in budgets}
        counts = Counter(name for _ in range(total) for name in sampler.draw())
        assert counts == Counter(stage)


def test_a_fifth_in_each_later_stage() -> None:
    budgets = dict.fromkeys("abcd", 50)
    split = split_over_stages(budgets, [("a",), ("b",), ("c",), ("d",)], replay=0.2)
    assert split == [
        {"a": 20},
        {"a": 10, "b": 30},
        {"a": 10, "b": 10, "c": 40},
        {"a": 10, "b": 10, "c": 10, "d": 50},
    ]


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**6), min_size=1),
    draws=st.integers(1, 10**4),
)
def test_budgets_go_by_size_and_use_every_draw(sizes: dict[str, int], draws: int) -> None:
    found = budgets_of(sizes, draws)
    assert sum(found.values()) == draws
    for name, size in sizes.items():
        assert found[name] == pytest.approx(size * draws / sum(sizes.values()), abs=1.01)


def test_after_the_last_stage_the_first_comes_again() -> None:
    sampler = StagedSampler([{"a": 1}, {"b": 2}], ["a", "b"], seed=0)
    assert [sampler.draw() for _ in range(5)] == [("a",), ("b",), ("b",), ("a",), ("b",)]
