"""Every sampler, balancer, aggregator and schedule in a real run, killed and resumed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from tests.training.conftest import SMALL_TASKS, Recorder, start_run
from training.assembly.run import Run
from training.config.optimization import NEEDS_EVERY_TASK
from training.config.schema import AggregationConfig, BalancingConfig, SamplingConfig
from training.gradients import CombinedGradients, SummedGradients

SmallConfig = Callable[..., dict[str, Any]]
META = {"batches": "metabatch"}


def names_of(union: Any) -> list[str]:
    """Every method's name of a section."""
    return [
        name
        for section in get_args(get_args(union)[0])
        for name in get_args(section.model_fields["name"].annotation)
    ]


PROBABILITIES = dict(zip(SMALL_TASKS, (0.5, 0.3, 0.2), strict=True))
VARIANTS: dict[str, dict[str, Any]] = {
    **{f"sampling {name}": {"sampling": name} for name in names_of(SamplingConfig) if name != "fixed"},
    "sampling fixed": {"sampling": {"name": "fixed", "probabilities": PROBABILITIES}},
    **{f"balancing {name}": {"balancing": name, **META} for name in names_of(BalancingConfig)},
    "balancing, one task a batch": {"balancing": "uncertainty"},
    "dwa by the step": {"balancing": {"name": "dwa", "epoch_steps": 1}},
    "gradnorm, kept apart": {"balancing": "gradnorm", "aggregation": "pcgrad", **META},
    "famo, kept apart": {"balancing": "famo", "aggregation": "mgda", **META},
    "scale initial": {"loss_scale": "initial"},
    "scale chance": {"loss_scale": "chance", "balancing": "imtl_l"},
    **{f"aggregation {name}": {"aggregation": name, **META} for name in names_of(AggregationConfig)},
    "aggregation of single tasks": {"aggregation": "pcgrad", "gradient_accumulation": 3},
    "cycle": {"batches": {"name": "cycle", "n": 1}},
    "two phases": {"batches": {"name": "two_phase", "patience": 1, "min_gain": 1.0}},
    "two phases, then cycles": {"batches": {"name": "two_phase", "patience": 1, "cycle": 2}},
    "stop and go": {"hold": {"name": "stop_and_go", "patience": 0, "every": 2}},
    "far ahead": {"hold": "far_ahead", **META},
    "layer decay": {"layer_decay": 0.5},
    "unfreezing": {"unfreeze_every": 1, "batches": "metabatch", "aggregation": "pcgrad"},
    "ema": {"averaging": {"name": "ema", "decay": 0.5}},
    "checkpoints": {"averaging": "checkpoints"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resumed_run_repeats_the_uninterrupted_one_exactly(
    small_config: SmallConfig, tmp_path: Path, variant: str
) -> None:
    raw = small_config(rows=20, **{"steps": 5, "evaluate_every": 2, **VARIANTS[variant]})
    whole, reference = Recorder(), start_run(raw, tmp_path / "whole")
    torch.manual_seed(11)
    reference.trainer.fit(whole, reference.write_checkpoint)
    killed = start_run(raw, tmp_path / "killed")
    torch.manual_seed(11)
    with pytest.raises(InterruptedError):
        killed.trainer.fit(Recorder(stop_after=3), killed.write_checkpoint)
    torch.manual_seed(99)
    resumed, run = Recorder(), start_run(raw, tmp_path / "killed", resume=True)
    run.trainer.fit(resumed, run.write_checkpoint)
    assert resumed.reports == {step: report for step, report in whole.reports.items() if step > 2}
    assert resumed.evaluations == [each for each in whole.evaluations if each.step > 2]
    assert weights_of(run) == weights_of(reference)


def weights_of(run: Run) -> dict[str, list[float]]:
    return {name: tensor.flatten().tolist() for name, tensor in run.trainer.model.state_dict().items()}


def test_which_methods_mix_all_losses_is_known_before_the_run(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    for name in names_of(BalancingConfig):
        run = start_run(small_config(balancing=name, **META), tmp_path / name)
        needs = run.trainer.gradients.weighing.balancer.needs_every_task
        assert needs == (name in NEEDS_EVERY_TASK), name


def test_only_an_aggregator_keeps_the_tasks_gradients_apart(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    summed = start_run(small_config(**META), tmp_path / "sum").trainer
    combined = start_run(small_config(aggregation="pcgrad", **META), tmp_path / "pcgrad").trainer
    assert isinstance(summed.gradients, SummedGradients)
    assert isinstance(combined.gradients, CombinedGradients)
    recorder = Recorder(stop_after=1)
    with pytest.raises(InterruptedError):
        combined.fit(recorder, lambda *_: None)
    assert set(recorder.reports[1].cosines) == {
        ("sentiment", "duplicate"), ("sentiment", "stars"), ("duplicate", "stars")
    }  # fmt: skip


def test_a_pass_counts_examples_whatever_the_batches(small_config: SmallConfig, tmp_path: Path) -> None:
    """24 rows a task, 19 of them to learn from, in batches of 4: about 14 batches, or 5 metabatches."""
    steps = {}
    for batches in ("one_task", "metabatch", "cycle"):
        raw = small_config(batches=batches, epochs=1)
        del raw["training"]["steps"]
        steps[batches] = start_run(raw, tmp_path / batches).trainer.settings.steps
    assert steps["metabatch"] == pytest.approx(steps["one_task"] / 3, abs=1)
    assert steps["metabatch"] < steps["cycle"] < steps["one_task"]


def test_layers_further_down_learn_more_slowly_and_heads_at_their_own_factor(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config(layer_decay=0.5, learning_rate=1e-2, encoder_learning_rate=1e-3, schedule="constant")
    raw["tasks"]["stars"]["learning_rate_factor"] = 3.0
    trainer = start_run(raw, tmp_path / "run").trainer
    rates = {
        id(parameter): group["initial_lr"]
        for group in trainer._optimizer.param_groups
        for parameter in group["params"]
    }
    by_name = {name: rates[id(parameter)] for name, parameter in trainer.model.named_parameters()}
    expected = {
        "encoder.backbone.embeddings": 2.5e-4,
        "encoder.backbone.encoder.layer.0.": 5e-4,
        "encoder.backbone.encoder.layer.1.": 1e-3,
        "heads.sentiment": 1e-2,
        "heads.stars": 3e-2,
    }
    for start, rate in expected.items():
        found = [value for name, value in by_name.items() if name.startswith(start)]
        assert found == pytest.approx([rate] * len(found)), start


def test_frozen_layers_do_not_move_until_they_thaw(small_config: SmallConfig, tmp_path: Path) -> None:
    raw = small_config(steps=5, unfreeze_every=2, warmup=0.0, evaluate_every=99)
    trainer = start_run(raw, tmp_path / "run").trainer
    moved: dict[int, set[str]] = {}
    before = weights_of_encoder(trainer.model)

    class Watcher(Recorder):
        def on_step(self, step: int, *_: Any) -> None:
            after = weights_of_encoder(trainer.model)
            moved[step] = {name.split(".")[0] for name in after if after[name] != before[name]}

    trainer.fit(Watcher(), lambda *_: None)
    assert moved[2] == set()
    assert moved[3] == moved[4] == {"1"}
    assert moved[5] == {"0", "1"}


def weights_of_encoder(model: Any) -> dict[str, list[float]]:
    layers = model.encoder.backbone.encoder.layer
    return {name: tensor.flatten().tolist() for name, tensor in layers.named_parameters()}


def test_the_averaged_weights_are_saved_and_training_goes_on_from_its_own(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    plain = start_run(small_config(steps=4, evaluate_every=2), tmp_path / "plain")
    averaged = start_run(
        small_config(steps=4, evaluate_every=2, averaging={"name": "checkpoints", "count": 2}),
        tmp_path / "avg",
    )
    saved: dict[str, list[dict[str, torch.Tensor]]] = {"plain": [], "avg": []}
    for name, run in (("plain", plain), ("avg", averaged)):
        torch.manual_seed(5)

        def keep(trainer: Any, _: Any, name: str = name) -> None:
            saved[name].append({key: value.clone() for key, value in trainer.model.state_dict().items()})

        run.trainer.fit(Recorder(), keep)
    for key, value in saved["avg"][1].items():
        expected = (saved["plain"][0][key] + saved["plain"][1][key]) / 2
        torch.testing.assert_close(value, expected)
    assert weights_of(plain) == weights_of(averaged)
