"""YAML → checked configuration, and back."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from training.config.faults import between_fields, of_schema
from training.config.schema import Config
from training.config.task_faults import VARIABLE
from training.config.unshared import new_heads_alone
from training.errors import ConfigError


def load_config(path: Path, *, growth: Mapping[str, Any] | None = None) -> Config:
    """Read and validate a training configuration.

    Args:
        path: The file.
        growth: Stands for the file's section of that name.

    Raises:
        ConfigError: Naming every mistake, what was found and what is possible.
    """
    raw = load_yaml(path)
    if growth is not None and isinstance(raw, dict):
        raw = {**raw, "growth": dict(growth)}
    return parse_config(raw, source=str(path))


def load_yaml(path: Path) -> object:
    """Read a YAML file. ``${NAME}`` and ``${NAME:-default}`` are taken from the environment.

    Raises:
        ConfigError: If it cannot be read.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError for bytes or dates that are none
        raise ConfigError(str(path), [f"is not valid YAML: {error}"]) from error
    return _expand(raw, dict(os.environ))


def parse_config(raw: object, *, source: str = "configuration") -> Config:
    """Validate a parsed YAML document.

    Returns:
        What is trained: of a file that adds heads alone to a trained model, these heads on a frozen encoder.

    Raises:
        ConfigError: Naming every mistake.
    """
    if not isinstance(raw, dict):
        found = type(raw).__name__
        raise ConfigError(source, [f"expected a mapping with name, encoder and tasks, found {found}"])
    faults = list(between_fields(raw))
    config = None
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        faults = [of_schema(fault) for fault in error.errors(include_url=False)] + faults
    if config is None or faults:
        raise ConfigError(source, faults)
    return new_heads_alone(config) if config.growth is not None and not config.growth.joint else config


def dump_config(config: Config) -> str:
    """The configuration as YAML, complete with defaults."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<` is no key of its own, and a key that is no scalar is refused below
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _expand(value: object, environment: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {key: _expand(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, environment) for item in value]
    if isinstance(value, str):
        return VARIABLE.sub(
            lambda match: environment.get(match[1]) or (match[2] if match[2] is not None else match[0]), value
        )
    return value
