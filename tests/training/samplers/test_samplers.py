import json
from collections import Counter
from collections.abc import Callable

import pytest

from training.samplers import RoundRobinSampler, Sampler, SamplerFactory
from training.samplers.probabilities import annealed_to_size, annealed_to_uniform, power, tempered
from training.samplers.weighted import WeightedSampler, constant

SIZES = {"large": 8000, "middle": 1500, "small": 500}
DRAWS = 6000


def factory(seed: int = 3) -> SamplerFactory:
    return SamplerFactory(sizes=SIZES, batch_size=50, draws=DRAWS, seed=seed)


FIXED = {"large": 0.2, "middle": 0.7, "small": 0.1}
SAMPLERS: dict[str, Callable[[SamplerFactory], Sampler]] = {
    "proportional": SamplerFactory.proportional,
    "uniform": SamplerFactory.uniform,
    "temperature": lambda build: build.tempered(temperature=4.0, cap=2000),
    "sqrt": SamplerFactory.sqrt,
    "annealed_to_uniform": lambda build: build.annealed_to_uniform(epochs=10, final_exponent=0.2),
    "annealed_to_size": lambda build: build.annealed_to_size(epochs=10, reach=5),
    "fixed": lambda build: build.fixed(probabilities=FIXED),
    "round_robin": SamplerFactory.round_robin,
    "sequential": SamplerFactory.sequential,
    "staged": lambda build: build.staged(replay=0.2),
    "exhaust_and_restart": SamplerFactory.exhaust_and_restart,
    "mt_dnn": SamplerFactory.mt_dnn,
    "metabatch": SamplerFactory.metabatch,
}


def average(probabilities: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(p[name] for p in probabilities) / len(probabilities) for name in SIZES}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("proportional", power(SIZES, 1)),
        ("uniform", dict.fromkeys(SIZES, 1 / 3)),
        ("temperature", tempered(SIZES, 4.0, cap=2000)),
        ("sqrt", power(SIZES, 0.5)),
        ("annealed_to_uniform", average([annealed_to_uniform(SIZES, e + 1, epochs=10) for e in range(10)])),
        ("annealed_to_size", average([annealed_to_size(SIZES, e, reach=5) for e in range(10)])),
        ("fixed", FIXED),
        ("round_robin", dict.fromkeys(SIZES, 1 / 3)),
        ("sequential", power(SIZES, 1)),
        ("staged", power(SIZES, 1)),
        ("exhaust_and_restart", power(SIZES, 1)),
        ("mt_dnn", power(SIZES, 1)),
    ],
)
def test_tasks_come_as_often_as_they_should(name: str, expected: dict[str, float]) -> None:
    sampler = SAMPLERS[name](factory())
    counts = Counter(sampler.draw() for _ in range(DRAWS))
    assert {task: counts[(task,)] / DRAWS for task in SIZES} == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_probabilities_name_every_task_in_the_order_of_the_file(name: str) -> None:
    sampler = SAMPLERS[name](factory())
    for _ in range(30):
        assert list(sampler.probabilities) == list(SIZES)
        (*drawn,) = sampler.draw()
        assert set(drawn) <= set(SIZES)


def test_round_robin_takes_turns_in_the_order_of_the_file() -> None:
    sampler = RoundRobinSampler(["b", "a", "c"])
    assert [sampler.draw() for _ in range(5)] == [("b",), ("a",), ("c",), ("b",), ("a",)]


def test_every_task_is_in_every_draw_of_the_metabatch() -> None:
    assert factory().metabatch().draw() == ("large", "middle", "small")


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("before", [0, 1, 17, 250])
def test_a_restored_sampler_draws_what_would_have_come(name: str, before: int) -> None:
    sampler, restored = SAMPLERS[name](factory()), SAMPLERS[name](factory())
    for _ in range(before):
        sampler.draw()
    restored.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert restored.probabilities == sampler.probabilities
    assert [restored.draw() for _ in range(50)] == [sampler.draw() for _ in range(50)]


@pytest.mark.parametrize("name", SAMPLERS)
def test_two_processes_with_the_same_seed_draw_the_same(name: str) -> None:
    first, second = (SAMPLERS[name](factory(seed=8)) for _ in range(2))
    assert [first.draw() for _ in range(300)] == [second.draw() for _ in range(300)]


@pytest.mark.parametrize("name", ["proportional", "annealed_to_size", "mt_dnn"])
def test_another_seed_draws_otherwise(name: str) -> None:
    draws = [[sampler.draw() for _ in range(300)] for sampler in (SAMPLERS[name](factory(s)) for s in (1, 2))]
    assert draws[0] != draws[1]


def test_a_distribution_that_is_none_is_refused_before_the_first_draw() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        WeightedSampler(constant({"a": 0.5, "b": 0.6}), seed=0)
