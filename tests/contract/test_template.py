"""The annotated template has every field of the schema, and shows its default."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from training.config.file import load_yaml
from training.config.losses import LOSSES
from training.config.optimization import OPTIMIZATION
from training.config.schema import Config
from training.config.section import Section
from training.config.tasks import TASKS, HubSplit

FILE = Path(__file__).parents[2] / "training" / "configs" / "template.yaml"
METHODS = {*LOSSES.values(), *OPTIMIZATION.values()}
COMMENTED_OUT = re.compile(r"^( {0,6})# ( {0,2}\w+:)", re.MULTILINE)
"""A field that is off unless given."""


def as_it_is() -> Config:
    return Config.model_validate(load_yaml(FILE))


def with_every_field() -> Config:
    text = COMMENTED_OUT.sub(r"\1\2", FILE.read_text(encoding="utf-8"))
    return Config.model_validate(yaml.safe_load(text))


def sections(found: Any) -> list[BaseModel]:
    """A section and all sections in it."""
    if isinstance(found, BaseModel):
        return [found, *(each for value in dict(found).values() for each in sections(value))]
    if isinstance(found, dict):
        return [each for value in found.values() for each in sections(value)]
    return []


def test_every_kind_of_task_is_in_it() -> None:
    assert {type(task) for task in as_it_is().tasks.values()} == {*TASKS.values()} - {HubSplit}


def test_every_field_is_in_it() -> None:
    """But for parameters of methods. Fields that several kinds of tasks have need be there once."""
    given: dict[type, set[str]] = defaultdict(set)
    for section in sections(with_every_field()):
        for owner in type(section).__mro__:
            given[owner] |= section.model_fields_set
    missing = {
        f"{owner.__name__}.{name}"
        for owner in given
        for name in vars(owner).get("__annotations__", {})
        if issubclass(owner, Section) and owner not in METHODS and name not in given[owner]
    }
    assert not missing


def test_a_value_that_is_not_commented_out_is_the_default() -> None:
    for section in sections(as_it_is()):
        for name in section.model_fields_set:
            field = type(section).model_fields[name]
            if field.is_required() or field.default is None:
                continue
            assert getattr(section, name) == field.default or isinstance(field.default, BaseModel), name
