"""``docs/optimization.md`` names every method and parameter, and its YAML is valid."""

import re
from pathlib import Path
from typing import get_args

import yaml

from training.config.optimization import OPTIMIZATION
from training.config.schema import TrainingConfig

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "optimization.md").read_text(encoding="utf-8")
TEMPLATE = (ROOT / "training" / "configs" / "template.yaml").read_text(encoding="utf-8")


def test_every_method_has_its_row_and_stands_in_the_template() -> None:
    for name, section in OPTIMIZATION.items():
        assert re.search(rf"^\| `(averaging: )?{name}`", DOCS, re.MULTILINE), name
        assert name in TEMPLATE, name
        for parameter in set(section.model_fields) - {"name"}:
            assert f"`{parameter}" in DOCS, f"{name}.{parameter}"


def test_defaults_are_as_the_rows_say() -> None:
    for name, section in OPTIMIZATION.items():
        row = next(line for line in DOCS.splitlines() if re.match(rf"\| `(averaging: )?{name}`", line))
        for parameter, default in re.findall(r"`(\w+): ([\d.]+|min)`", row):
            assert str(section.model_fields[parameter].default).removesuffix(".0") == default, (
                name,
                parameter,
            )


def test_every_name_stands_for_one_section() -> None:
    for name, section in OPTIMIZATION.items():
        assert name in get_args(section.model_fields["name"].annotation)


def test_the_examples_are_valid() -> None:
    for block in re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL):
        TrainingConfig.model_validate(yaml.safe_load(block)["training"])
