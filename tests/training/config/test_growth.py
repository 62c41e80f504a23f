import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.growing import NEW_TASKS, growing_config
from tests.support.tiny import write_config
from training.__main__ import main
from training.checkpoint import RunFolder
from training.comparison.study import load_study
from training.config.file import dump_config, load_config, parse_config
from training.errors import ConfigError

Raw = Callable[..., dict[str, Any]]


@pytest.fixture
def raw(tmp_path: Path, tiny_encoder: Path, tiny_run: Path) -> Raw:
    """A configuration that adds two tasks to the tiny run; keywords override the section ``growth``."""

    def build(**growth: Any) -> dict[str, Any]:
        config = growing_config(tmp_path, tiny_encoder)
        config["growth"] = {"source": str(tiny_run), "add": list(NEW_TASKS), **growth}
        return config

    return build


def test_heads_alone_are_all_that_a_file_without_joint_means_whoever_reads_it(
    raw: Raw, tmp_path: Path
) -> None:
    file = write_config(tmp_path / "grown.yaml", raw())
    for config in (load_config(file), load_study(file).configs["joint"]):
        assert tuple(config.tasks) == NEW_TASKS
        assert config.encoder.train == "frozen"
    assert parse_config(yaml.safe_load(dump_config(config))) == config
    assert len(parse_config(raw(joint=True)).tasks) > len(NEW_TASKS)
    assert main(["affinity", str(file), "--output", str(tmp_path / "affinity")]) == 2


def faults_of(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    return [fault for fault in caught.value.faults if not fault.startswith("training.")]


def test_a_run_or_a_bundle_is_a_source(raw: Raw, tiny_bundle: Path) -> None:
    for config in (raw(), raw(joint=True, replay=0.5), raw(source=str(tiny_bundle))):
        growth = parse_config(config).growth
        assert growth is not None
        assert growth.add == NEW_TASKS


def test_every_mistake_is_told_at_once(raw: Raw, tiny_run: Path) -> None:
    config = raw(add=["sentiment", "tone", "tone", "tune"], replay=0.2)
    config["encoder"] |= {"model": "another/model", "max_length": 16}
    place = next((tiny_run / "checkpoints").glob("step-*")).parent
    faults = faults_of(config)
    assert [fault.partition(":")[0] for fault in faults] == [
        "growth.add", "growth.add", "growth.add", "growth.replay", "growth.add", "encoder.model",
        "encoder.max_length",
    ]  # fmt: skip
    assert "'tone' is there 2 times" in faults[0]
    assert "no task 'tune'; the file has sentiment, topic" in faults[2]
    assert "only heads train" in faults[3]
    assert f"{place}/step-" in faults[4]
    assert "has a task 'sentiment'; call the new one something else" in faults[4]
    assert "which cannot change, found 'another/model'" in faults[5]
    assert "has 24, which cannot change, found 16" in faults[6]


def test_what_is_no_source_is_named(raw: Raw, tmp_path: Path, tiny_run: Path) -> None:
    assert faults_of(raw(source=str(tmp_path))) == [
        f"growth.source: {tmp_path} is neither a run, a checkpoint nor a bundle"
    ]
    unfinished = Path(shutil.copytree(tiny_run, tmp_path / "unfinished"))
    index = RunFolder(unfinished)._index_file
    index.write_text(index.read_text().replace("true", "false"))
    assert "is not finished: continue it with --resume" in faults_of(raw(source=str(unfinished)))[0]


def test_a_bundle_has_nothing_to_train_on(raw: Raw, tiny_bundle: Path) -> None:
    (fault,) = faults_of(raw(source=str(tiny_bundle), joint=True))
    assert fault.startswith("growth.joint: a bundle holds its encoder as a graph")
    assert "name the run" in fault


def test_joint_training_needs_an_encoder_that_trains_and_heads_as_they_were(raw: Raw) -> None:
    config = raw(joint=True, replay=0.3)
    config["encoder"]["train"] = "frozen"
    config["training"]["sampling"] = "round_robin"
    config["tasks"]["sentiment"]["labels"] = ["good", "fine", "bad"]
    config["tasks"]["topic"]["pooling"] = "mean"
    config["tasks"]["stranger"] = config["tasks"]["tone"]
    faults = faults_of(config)
    assert [fault.partition(":")[0] for fault in faults] == [
        "growth.replay", "growth.joint", "growth.add", "tasks.sentiment.labels", "tasks.topic.pooling",
    ]  # fmt: skip
    assert "so does training.sampling: round_robin" in faults[0]
    assert "stranger unknown to" in faults[2]


def test_joint_training_needs_a_known_task(raw: Raw) -> None:
    config = raw(joint=True)
    config["tasks"] = {name: config["tasks"][name] for name in NEW_TASKS}
    (fault,) = faults_of(config)
    assert fault.startswith("growth.joint: expected some of the known tasks in the file: sentiment, topic")


def test_a_sharing_layer_does_not_grow(raw: Raw) -> None:
    config = raw(joint=True)
    config["sharing"] = "shared_bottom"
    (fault,) = faults_of(config)
    assert fault.startswith("growth.joint: a sharing layer is made for a fixed set of tasks: neither run may")
    assert "leave joint out" in fault


@pytest.mark.parametrize("growth", [3, {"source": 3, "add": "tone"}, {"source": "", "add": []}, {}])
def test_a_section_of_wrong_types_is_the_schemas_matter(raw: Raw, growth: object) -> None:
    config = raw()
    config["growth"] = growth
    assert all(fault.startswith("growth") for fault in faults_of(config))
