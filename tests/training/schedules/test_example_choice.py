from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import Recorder, start_run
from training.config.file import parse_config
from training.errors import ConfigError
from training.evaluation import predict_logits
from training.schedules.example_choice import MostUncertain
from training.schedules.uncertainty import entropy
from training.trainer import Trainer

SmallConfig = Callable[..., dict[str, Any]]


@pytest.fixture
def trainer(small_config: SmallConfig, tmp_path: Path) -> Trainer:
    raw = small_config(steps=3, batches="metabatch", example_sampling="mt_uncertainty", evaluate_every=2)
    return start_run(raw, tmp_path / "run").trainer


def test_what_is_chosen_is_at_least_as_uncertain_as_what_is_left(trainer: Trainer) -> None:
    choose = MostUncertain(trainer.model, trainer._tasks, trainer._train)
    candidates = {"sentiment": np.arange(8), "stars": np.arange(3, 11)}
    trainer.model.train()
    chosen = choose(candidates)
    assert trainer.model.training, "the model is left in the mode it was in"
    assert {name: len(each) for name, each in chosen.items()} == {"sentiment": 4, "stars": 4}
    assert chosen["stars"].tolist() == [3, 4, 5, 6], "a value has no entropy: its share, the first ones"
    logits = predict_logits(
        trainer.model, trainer._tasks["sentiment"], trainer._train["sentiment"], batch_size=8
    )
    found = entropy(np.concatenate(logits).astype(float))
    left = sorted(set(candidates["sentiment"]) - set(chosen["sentiment"]))
    assert found[chosen["sentiment"]].min() >= found[left].max() - 1e-6
    assert choose({"stars": np.arange(4)})["stars"].tolist() == [0, 1, 2, 3]


def test_a_step_learns_from_as_many_examples_as_one_task_offers(trainer: Trainer) -> None:
    sizes: list[dict[str, int]] = []
    own_part = trainer._own_part

    def spy(name: str, indices: np.ndarray) -> Any:
        sizes[-1][name] = len(indices)
        return own_part(name, indices)

    trainer._own_part = spy  # type: ignore[method-assign]
    for _ in range(3):
        sizes.append({})
        trainer.draw()
    assert [sum(each.values()) for each in sizes] == [4, 4, 4], "a batch of 4 of each task was offered"
    learnt = {name: sum(each.get(name, 0) for each in sizes) / 4 for name in trainer.batches}
    assert trainer.batches == {name: round(count) for name, count in learnt.items()}, "not what was offered"


def test_an_interrupted_run_chooses_as_one_that_was_never_stopped(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(steps=4, batches="metabatch", example_sampling="mt_uncertainty", evaluate_every=2)
    whole = start_run(raw, tmp_path / "whole")
    whole.trainer.fit(Recorder(), whole.write_checkpoint)
    cut = start_run(raw, tmp_path / "cut")
    with pytest.raises(InterruptedError):
        cut.trainer.fit(Recorder(stop_after=3), cut.write_checkpoint)
    resumed = start_run(raw, tmp_path / "cut", resume=True)
    resumed.trainer.fit(Recorder(), resumed.write_checkpoint)
    assert resumed.trainer.batches == whole.trainer.batches
    for name, weight in whole.trainer.model.state_dict().items():
        assert torch.equal(resumed.trainer.model.state_dict()[name], weight), name


@pytest.mark.parametrize(
    ("training", "fault"),
    [
        (
            {},
            "example_sampling: mt_uncertainty compares all tasks' candidates: set batches: metabatch",
        ),
        (
            {"batches": "metabatch", "balancing": "gradnorm"},
            "example_sampling leaves tasks out of some steps",
        ),
    ],
)
def test_a_mistake_is_told_before_training(
    small_config: SmallConfig, training: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(small_config(example_sampling="mt_uncertainty", **training))
    assert any(fault in each for each in caught.value.faults)
