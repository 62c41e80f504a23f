from collections.abc import Callable
from typing import Any

import pytest

from training.comparison.estimate import Speed, examples_a_step, in_words, total_s
from training.comparison.planning import single_task_config
from training.config.file import parse_config

SmallConfig = Callable[..., dict[str, Any]]
SPEED = Speed(
    setup_s=3,
    example_s=0.5,
    row_s=0.01,
    examples=100,
    selection_rows={"sentiment": 10, "duplicate": 20, "stars": 30},
    dev_rows={"sentiment": 100, "duplicate": 200, "stars": 300},
)


def test_a_runs_time_is_that_of_its_examples_its_evaluations_and_its_dev_rows(
    small_config: SmallConfig,
) -> None:
    config = parse_config(small_config(batches="metabatch"))  # 9 steps of 3 × 4, evaluated at 4, 8 and 9
    assert SPEED.run_s(config) == pytest.approx(3 + 108 * 0.5 + (3 * 60 + 600) * 0.01)
    alone = single_task_config(config, "stars", batches=9, joint_steps=9)
    assert SPEED.run_s(alone) == pytest.approx(3 + 36 * 0.5 + (3 * 30 + 300) * 0.01)
    assert total_s([config, config], SPEED, jobs=2) == pytest.approx(SPEED.run_s(config))


def test_a_run_that_counts_epochs_takes_the_examples_of_the_measured_one(small_config: SmallConfig) -> None:
    config = parse_config(small_config(steps=None, evaluate_every=None))
    assert SPEED.run_s(config) == pytest.approx(3 + 100 * 0.5 + (10 * 60 + 600) * 0.01)


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({}, 4),
        ({"batches": "metabatch"}, 12),
        ({"gradient_accumulation": 3}, 12),
        ({"batches": "cycle"}, 5.6),
    ],
)
def test_examples_a_step_count_draws_and_accumulation(
    small_config: SmallConfig, training: dict[str, Any], expected: float
) -> None:
    assert examples_a_step(parse_config(small_config(**training))) == pytest.approx(expected)


@pytest.mark.parametrize(("seconds", "words"), [(8, "8 s"), (600, "10 min"), (7200, "2.0 h")])
def test_a_duration_is_told_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
