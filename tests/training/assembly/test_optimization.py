from collections import Counter

import pytest

from training.assembly.optimization import Shape, build_sampler
from training.config.optimization import AnnealedToUniformConfig, CycleConfig, StagedSamplingConfig
from training.config.schema import TrainingConfig
from training.samplers.stages import budgets_of

SHAPE = Shape(sizes={"a": 40, "b": 20, "c": 20}, steps=50, seed=3)
SINGLES = 40
"""Of 50 draws in 4:1 cycles."""


def cycled(sampling: StagedSamplingConfig | AnnealedToUniformConfig) -> TrainingConfig:
    return TrainingConfig(batches=CycleConfig(name="cycle", n=4), sampling=sampling)


def test_a_plan_of_stages_between_metabatches_is_played_to_its_end() -> None:
    sampler = build_sampler(cycled(StagedSamplingConfig(name="staged")), SHAPE)
    drawn = [sampler.draw() for _ in range(SHAPE.steps)]
    singles = [names[0] for names in drawn if len(names) == 1]
    assert Counter(singles) == budgets_of(SHAPE.sizes, SINGLES)
    assert singles[0] == "a"
    assert singles[-6:].count("c") > 2, "the last stage is that of all tasks"


def test_annealing_between_metabatches_ends_where_it_should() -> None:
    annealed = AnnealedToUniformConfig(name="annealed_to_uniform", epochs=4, final_exponent=0.0)
    sampler = build_sampler(cycled(annealed), SHAPE)
    for _ in range(SHAPE.steps - 2):
        sampler.draw()
    once = 1 / 5
    assert sampler.probabilities["a"] == pytest.approx(4 / 5 * 1 / 3 + once), "uniform at last"
