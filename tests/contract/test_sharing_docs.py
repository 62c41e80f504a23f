"""``docs/sharing.md`` names every layer with its parameters and defaults, and its YAML is valid."""

import re
from pathlib import Path
from typing import get_args

import yaml
from pydantic import TypeAdapter

from training.config.sharing import SHARING, SharingConfig
from training.sharing.base import SharingLayer

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "sharing.md").read_text(encoding="utf-8")
TEMPLATE = (ROOT / "training" / "configs" / "template.yaml").read_text(encoding="utf-8")


def row_of(name: str) -> str:
    (row,) = re.findall(rf"^\| `{name}` \|.*$", DOCS, re.MULTILINE)
    return str(row)


def test_every_layer_has_its_row_and_stands_in_the_template() -> None:
    common = {"name", "tasks", "width", "hidden", "dropout"}
    for name, section in SHARING.items():
        assert name in TEMPLATE, name
        for parameter in set(section.model_fields) - common:
            assert f"`{parameter}: " in row_of(name), f"{name}.{parameter}"
        assert name in get_args(section.model_fields["name"].annotation)


def test_defaults_are_as_the_rows_say() -> None:
    for name, section in SHARING.items():
        for parameter, default in re.findall(r"`(\w+): ([\w.]+)`", row_of(name)):
            assert str(section.model_fields[parameter].default).removesuffix(".0") == default, (
                name,
                parameter,
            )


def test_the_examples_are_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert blocks
    for block in blocks:
        TypeAdapter(SharingConfig).validate_python(yaml.safe_load(block)["sharing"])


def test_the_layers_that_could_take_no_task_afterwards_are_named() -> None:
    refusing, joining = DOCS.split("The layers differ in what that would take.")[1].split(
        " have parameters ", 1
    )
    from tests.support.sharing_layers import BUILDERS, build

    for name in BUILDERS:
        layer: SharingLayer = build(name)
        assert f"`{name}`" in (joining if layer.refuses_tasks is None else refusing), name
