"""From the section ``sharing`` to a model that trains, resumes and stays pruned."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.conftest import SMALL_TASKS, Recorder, start_run
from tests.training.test_model import ONE, TWO, batch_of, model_of
from training.assembly.run import Run
from training.assembly.sharing import build_sharing
from training.assembly.trained import build_model, load_model
from training.config.file import parse_config
from training.config.sharing import SHARING
from training.errors import ConfigError
from training.optimization import build_optimizer
from training.sharing import SharedPath

SmallConfig = Callable[..., dict[str, Any]]
META = {"batches": "metabatch"}
READS = {"reads": {"stars": ["duplicate"]}}


def section(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "width": 6, **(READS if name == "asymmetric" else {}), **keys}


def frozen(raw: dict[str, Any]) -> dict[str, Any]:
    raw["encoder"]["train"] = "frozen"
    return raw


@pytest.mark.parametrize("name", SHARING)
def test_heads_read_what_the_layer_gives_and_logits_keep_their_shape(
    small_config: SmallConfig, name: str
) -> None:
    model = model_of(small_config() | {"sharing": section(name)}).eval()
    assert model.sharing is not None
    batch, pair = batch_of(ONE, TWO), batch_of(ONE, TWO, rows=[[0, 1]])
    for task, given, outputs in (("sentiment", batch, 3), ("stars", batch, 1), ("duplicate", pair, 2)):
        logits = model(task, given)
        assert logits.shape == (len(given.rows), outputs)
        vectors = model.sharing(model.embed(batch, "mean"), task)
        read = vectors.unbind(0) if task == "duplicate" else [vectors]
        expected = model.heads[task](*(each[None] if each.ndim == 1 else each for each in read))
        torch.testing.assert_close(logits, expected)


def test_tasks_that_do_not_share_read_the_encoder(small_config: SmallConfig) -> None:
    raw = small_config() | {"sharing": section("mmoe", tasks=["stars", "duplicate"])}
    model = model_of(raw).eval()
    assert model.path("sentiment") is model.heads["sentiment"]
    assert isinstance(model.path("stars"), SharedPath)
    expected = model.heads["sentiment"](model.embed(batch_of(ONE), "mean"))
    torch.testing.assert_close(model("sentiment", batch_of(ONE)), expected)


def test_a_run_of_one_task_has_the_layers_part_for_it(small_config: SmallConfig) -> None:
    """As when ``compare`` trains each task alone."""
    config = parse_config(small_config() | {"sharing": section("asymmetric")})
    alone = config.model_copy(update={"tasks": {"stars": config.tasks["stars"]}})
    model = model_of(small_config())
    built = build_model(alone, model.encoder)
    assert built.sharing is not None
    assert built.sharing.tasks == ("stars",)
    assert built("stars", batch_of(ONE)).shape == (1, 1)
    others = config.model_copy(
        update={"sharing": config.sharing.model_copy(update={"tasks": ("duplicate",)})}  # type: ignore[union-attr]
    )
    nobody = others.model_copy(update={"tasks": {"stars": config.tasks["stars"]}})
    assert build_model(nobody, model.encoder).sharing is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "classification", "head": {"type": "hf", "class": "AutoModelForSequenceClassification"}},
         "reads the encoder's width, 32, but the sharing layer gives 6"),
        ({"head": {"type": "sub_encoder", "num_heads": 4}}, "tasks.sentiment.head"),
    ],
)  # fmt: skip
def test_a_head_that_does_not_fit_the_layers_width_is_named(
    small_config: SmallConfig, change: dict[str, Any], expected: str
) -> None:
    raw = small_config() | {"sharing": section("cgc")}
    raw["tasks"]["sentiment"] |= change
    with pytest.raises(ConfigError, match=expected):
        model_of(raw)


def test_a_sluice_over_an_odd_encoder_is_refused(small_config: SmallConfig) -> None:
    config = parse_config(small_config() | {"sharing": "sluice"})
    with pytest.raises(
        ConfigError, match=r"sharing: a sluice's layers have one, even width, found \[33, 33\]"
    ):
        build_sharing(config, hidden_size=33)


def names_of(model: nn.Module, parameters: list[nn.Parameter]) -> set[str]:
    wanted = {id(parameter) for parameter in parameters}
    return {name for name, parameter in model.named_parameters() if id(parameter) in wanted}


def test_what_several_tasks_use_is_shared_and_the_rest_their_own(small_config: SmallConfig) -> None:
    model = model_of(frozen(small_config() | {"sharing": section("asymmetric")}))
    assert {name.rsplit(".", 3)[0] for name in names_of(model, model.shared_parameters)} == {
        "sharing.towers.duplicate"
    }
    own = {task: names_of(model, found) for task, found in model.own_parameters.items()}
    assert {name.split(".")[0] for name in own["duplicate"]} == {"heads"}
    assert {name.split(".")[2] for name in own["stars"] if name.startswith("sharing")} == {"stars"}
    full = model_of(small_config() | {"sharing": section("asymmetric")})
    assert len(full.shared_parameters) > len(model.shared_parameters), "the encoder is shared where it trains"


def test_networks_learn_at_the_heads_rate_and_mixing_at_its_own_undecayed(small_config: SmallConfig) -> None:
    model = model_of(frozen(small_config() | {"sharing": section("cross_stitch", rate_factor=7)}))
    optimizer = build_optimizer(model, learning_rate=0.01, encoder_learning_rate=0.001, weight_decay=0.1)
    found = {
        name: (group["part"], round(group["lr"], 6), group["weight_decay"])
        for group in optimizer.param_groups
        for name in names_of(model, group["params"])
    }
    assert found.pop("sharing.stitches.0") == ("mixing", 0.07, 0.0)
    assert {found[name] for name in found if name.endswith("1.weight")} == {
        ("sharing", 0.01, 0.1),
        ("heads", 0.01, 0.1),
    }
    assert len(found) == len([p for p in model.parameters() if p.requires_grad]) - 1, "each once"


@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("mmoe", {}),
        ("ple", {"aggregation": "pcgrad", **META}),
        ("cgc", {"aggregation": "pcgrad", "gradient_accumulation": 2, "sampling": "round_robin"}),
        ("asymmetric", {"aggregation": "mgda", **META}),
        ("sluice", {"gradient_accumulation": 2, "averaging": "ema"}),
        ("soft", {"balancing": "uncertainty", **META}),
        ("film", {"balancing": "gradnorm", **META, "conflict_probe": True}),
    ],
)
def test_a_resumed_run_repeats_the_uninterrupted_one_exactly(
    small_config: SmallConfig, tmp_path: Path, name: str, training: dict[str, Any]
) -> None:
    """Over a frozen encoder, so that all that is shared is the layer's."""
    raw = frozen(small_config(rows=20, **{"steps": 5, "evaluate_every": 2, **training}))
    raw["sharing"] = section(name)
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
    assert resumed.losses == {step: losses for step, losses in whole.losses.items() if step > 2}
    assert resumed.rates == {step: rates for step, rates in whole.rates.items() if step > 2}
    assert [each.gates for each in resumed.evaluations] == [e.gates for e in whole.evaluations if e.step > 2]
    assert weights_of(run) == weights_of(reference)
    penalties = {report.penalty is not None for report in whole.reports.values()}
    assert penalties == {name in ("sluice", "soft")}
    assert all(bool(each.gates) == (name in ("mmoe", "ple", "cgc")) for each in whole.evaluations)
    trained = load_model(tmp_path / "killed")
    assert trained.model.sharing is not None


def weights_of(run: Run) -> dict[str, list[float]]:
    return {name: tensor.flatten().tolist() for name, tensor in run.trainer.model.state_dict().items()}


@pytest.mark.parametrize(
    "training", [{}, {"gradient_accumulation": 3}, {"gradient_accumulation": 2, "aggregation": "mgda"}]
)
def test_a_penalty_enters_every_step_once_whatever_the_batches(
    small_config: SmallConfig, tmp_path: Path, training: dict[str, Any]
) -> None:
    """A task's loss does not reach the other towers: what moves them is the penalty, at its own weight."""
    raw = small_config(max_grad_norm=1e9, steps=1, **training) | {"sharing": section("soft", penalty=2.0)}
    raw["training"]["sampling"] = only("sentiment")
    trainer = start_run(raw, tmp_path / "run").trainer
    layer = trainer.model.sharing
    assert layer is not None
    others = [
        *layer.get_submodule("towers.stars").parameters(),
        *layer.get_submodule("towers.duplicate").parameters(),
    ]
    with torch.no_grad():
        others[0].add_(torch.randn_like(others[0]))
    penalty = layer.penalty()
    assert penalty is not None
    expected = torch.autograd.grad(penalty, others)
    found: list[torch.Tensor] = []
    trainer._optimizer.optimizer.register_step_pre_hook(  # type: ignore[attr-defined]
        lambda *_: found.extend(parameter.grad.clone() for parameter in others)  # type: ignore[union-attr]
    )
    recorder = Recorder()
    trainer.fit(recorder, lambda *_: None)
    torch.testing.assert_close(found, list(expected))
    assert recorder.reports[1].penalty == pytest.approx(penalty.item())


def only(task: str) -> dict[str, Any]:
    return {"name": "fixed", "probabilities": {name: float(name == task) for name in SMALL_TASKS}}


def test_experts_of_a_task_that_no_step_has_stay_where_they_are(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    """With an aggregator too: a parameter that no task of the step uses is not even decayed."""
    raw = frozen(small_config(aggregation="pcgrad", gradient_accumulation=2, steps=1, weight_decay=0.5))
    raw["training"]["sampling"] = {
        "name": "fixed",
        "probabilities": {"sentiment": 1, "stars": 0, "duplicate": 0},
    }
    raw["sharing"] = section("asymmetric")
    run = start_run(raw, tmp_path / "run")
    before = weights_of(run)
    run.trainer.fit(Recorder(), lambda *_: None)
    moved = {name for name, values in weights_of(run).items() if values != before[name]}
    towers = {name.split(".")[2] for name in moved if name.startswith("sharing")}
    assert towers == {"sentiment"}, "the tower that stars and duplicate share is theirs alone"
