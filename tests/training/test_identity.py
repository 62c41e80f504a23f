import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.growing import NEW_TASKS, growing_config
from training.checkpoint import resolve_checkpoint, write_metrics
from training.config.file import parse_config
from training.identity import config_hash, identity_of

SmallConfig = Callable[..., dict[str, Any]]


def test_a_hash_is_of_contents_and_changes_with_what_matters(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config()
    first = config_hash(parse_config(raw))
    assert config_hash(parse_config({**raw, "name": "renamed"})) == first
    moved = tmp_path / "elsewhere.jsonl"
    moved.write_bytes((tmp_path / "train.jsonl").read_bytes())
    for task in raw["tasks"].values():
        task["data"] = {**task["data"], "train": str(moved)}
    assert config_hash(parse_config(raw)) == first
    assert config_hash(parse_config({**raw, "seed": 1})) != first
    raw["training"]["weight_decay"] = 0.01
    assert config_hash(parse_config(raw)) == first, "a default that is spelled out"
    raw["training"]["weight_decay"] = 0.02
    changed = config_hash(parse_config(raw))
    assert changed != first
    with moved.open("a") as file:
        file.write("\n")
    assert config_hash(parse_config(raw)) != changed


def test_an_identity_names_every_file_and_folder_with_what_is_in_it(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    raw = small_config()
    config = parse_config(raw)
    before = identity_of(config)
    named = {raw["encoder"]["model"], str(tmp_path / "train.jsonl"), str(tmp_path / "dev.jsonl")}
    assert set(before.contents) == named
    assert before.config_sha256 == config_hash(config)
    with (tmp_path / "dev.jsonl").open("a") as file:
        file.write("\n")
    after = identity_of(config)
    assert {name for name in named if before.contents[name] != after.contents[name]} == {
        str(tmp_path / "dev.jsonl")
    }


@pytest.mark.parametrize("joint", [False, True])
def test_a_grown_run_is_one_of_the_weights_that_it_starts_from(
    tmp_path: Path, tiny_encoder: Path, tiny_run: Path, joint: bool
) -> None:
    source = Path(shutil.copytree(tiny_run, tmp_path / "source"))
    raw = growing_config(tmp_path, tiny_encoder)
    raw["growth"] = {"source": str(source), "add": list(NEW_TASKS), "joint": joint}
    if joint:
        raw["training"].pop("sampling", None)
    first = config_hash(parse_config(raw))
    checkpoint = resolve_checkpoint(source)
    write_metrics(checkpoint, {"dev": {}})
    assert config_hash(parse_config(raw)) == first, "measured again"
    moved = source.rename(tmp_path / "moved")
    raw["growth"]["source"] = str(moved)
    assert config_hash(parse_config(raw)) == first
    with (resolve_checkpoint(moved) / "model.safetensors").open("ab") as file:
        file.write(b"0")
    assert config_hash(parse_config(raw)) != first
