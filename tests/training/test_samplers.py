import itertools
import json
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.samplers import (
    EveryTaskSampler,
    RandomSampler,
    RoundRobinSampler,
    Sampler,
    build_sampler,
    temperature_probabilities,
)

SIZES = {"large": 8000, "middle": 1500, "small": 500}
SAMPLERS: dict[str, Callable[[], Sampler]] = {
    **{
        name: lambda name=name: build_sampler(name, SIZES, temperature=2.0, seed=3)  # type: ignore[misc]
        for name in ("proportional", "uniform", "temperature", "round_robin")
    },
    "every_task": lambda: EveryTaskSampler(list(SIZES)),
}
sizes = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**6), min_size=1)


@given(sizes=sizes)
def test_temperature_one_is_proportional_to_size(sizes: dict[str, int]) -> None:
    total = sum(sizes.values())
    assert temperature_probabilities(sizes, 1.0) == pytest.approx(
        {name: n / total for name, n in sizes.items()}
    )


@given(sizes=sizes)
def test_a_large_temperature_is_uniform(sizes: dict[str, int]) -> None:
    found = temperature_probabilities(sizes, 1e9)
    assert found == pytest.approx(dict.fromkeys(sizes, 1 / len(sizes)), abs=1e-6)


@given(sizes=sizes, temperature=st.floats(1, 100))
def test_probabilities_sum_to_one_and_keep_the_order_of_sizes(
    sizes: dict[str, int], temperature: float
) -> None:
    found = temperature_probabilities(sizes, temperature)
    assert sum(found.values()) == pytest.approx(1)
    by_size = sorted(sizes, key=lambda name: sizes[name])
    assert all(found[a] <= found[b] for a, b in itertools.pairwise(by_size))


def test_temperature_two_is_the_square_root_of_size() -> None:
    found = temperature_probabilities({"a": 9, "b": 1}, 2.0)
    assert found == pytest.approx({"a": 0.75, "b": 0.25})


def test_huge_sizes_do_not_overflow() -> None:
    found = temperature_probabilities({"huge": 10**300, "one": 1}, 1.0)
    assert found["huge"] == pytest.approx(1)
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("proportional", {"large": 0.8, "middle": 0.15, "small": 0.05}),
        ("uniform", dict.fromkeys(SIZES, 1 / 3)),
        ("temperature", temperature_probabilities(SIZES, 2.0)),
        ("round_robin", dict.fromkeys(SIZES, 1 / 3)),
    ],
)
def test_tasks_come_as_often_as_they_should(name: str, expected: dict[str, float]) -> None:
    sampler = SAMPLERS[name]()
    counts = Counter(sampler.draw() for _ in range(6000))
    assert {task: counts[(task,)] / 6000 for task in SIZES} == pytest.approx(expected, abs=0.02)


def test_round_robin_takes_turns_in_the_order_of_the_file() -> None:
    sampler = RoundRobinSampler(["b", "a", "c"])
    assert [sampler.draw() for _ in range(5)] == [("b",), ("a",), ("c",), ("b",), ("a",)]


def test_every_task_is_in_every_draw_of_the_metabatch() -> None:
    assert EveryTaskSampler(["b", "a"]).draw() == ("b", "a")


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("before", [0, 1, 17])
def test_a_restored_sampler_draws_what_would_have_come(name: str, before: int) -> None:
    sampler, restored = SAMPLERS[name](), SAMPLERS[name]()
    for _ in range(before):
        sampler.draw()
    restored.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert [restored.draw() for _ in range(50)] == [sampler.draw() for _ in range(50)]


def test_draws_depend_on_the_seed_alone() -> None:
    draws = [[RandomSampler({"a": 0.5, "b": 0.5}, seed=seed).draw() for _ in range(1)] for seed in range(30)]
    assert len({tuple(draw) for draw in draws}) == 2
    first, second = (RandomSampler({"a": 0.5, "b": 0.5}, seed=1) for _ in range(2))
    assert [first.draw() for _ in range(40)] == [second.draw() for _ in range(40)]
