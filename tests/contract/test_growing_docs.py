"""``docs/growing.md`` is true: its YAML is valid, its table is that of the code, its flags exist."""

import re
from pathlib import Path

import yaml

from training.config.file import parse_config
from training.config.pretraining import PretrainingConfig
from training.config.schema import TrainingConfig

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "growing.md").read_text(encoding="utf-8")
QUICKSTART = ROOT / "examples" / "support_desk" / "support_desk.yaml"
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)]


def test_the_worked_example_is_a_valid_file() -> None:
    (whole,) = (block for block in BLOCKS if "tasks" in block)
    for task in whole["tasks"].values():
        task["data"] = {split: str(ROOT / path) for split, path in task["data"].items()}
    assert list(parse_config(whole).tasks) == ["quick_duplicate"]


def test_the_worked_example_has_the_encoder_of_the_bundle_that_it_grows() -> None:
    (shown,) = (block["encoder"] for block in BLOCKS if "tasks" in block)
    quickstart = yaml.safe_load(QUICKSTART.read_text(encoding="utf-8"))["encoder"]
    assert shown == {key: quickstart[key] for key in ("model", "max_length")}


def test_the_sections_shown_are_valid() -> None:
    for block in BLOCKS:
        if "tasks" not in block:
            for name, section in block.items():
                {"training": TrainingConfig, "pretraining": PretrainingConfig}[name].model_validate(section)


def test_every_field_of_pretraining_has_its_row() -> None:
    rows = " ".join(line.split("|")[1] for line in DOCS.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", rows)) == set(PretrainingConfig.model_fields)
