"""A study as a YAML file: a base configuration, and the variants of it that are compared."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from training.config.file import load_yaml, parse_config
from training.config.schema import Config
from training.config.section import Section
from training.errors import ConfigError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
Changes = dict[str, Any]
BUDGET = ("steps", "epochs")
"""Fields of ``training`` that are the same in all runs."""
JOINT = "joint"
"""The only variant where no study names any."""
ALONE = "alone"
"""Stands for the tasks' own runs together."""


class Overrides(Section):
    """Part of a training configuration that replaces the base's.

    Mappings are merged; one with a ``name``, a method with its parameters, is replaced as a whole; null takes
    a key out, so that its default holds, or a task is left out.
    """

    encoder: Changes = Field(default_factory=dict)
    sharing: Changes | str | None = None
    """A layer's name stands for its defaults."""
    tasks: Changes = Field(default_factory=dict)
    training: Changes = Field(default_factory=dict)
    selection: Changes = Field(default_factory=dict)


class VariantConfig(Overrides):
    """One way to train the tasks together."""

    name: Name
    seeds: Seeds | None = None
    """Those of the study, unless given."""


class StudyConfig(Section):
    """What is compared."""

    name: Name
    base: str
    """A training configuration, relative to the study's file."""
    steps: int | None = Field(default=None, gt=0)
    """Optimizer steps of every run; as the base says unless given."""
    seeds: Seeds = (0,)
    common: Overrides = Overrides()
    """What all runs have differently from the base."""
    baseline: str | None = None
    """The variant that the others are compared with, and whose batches of each task its own run gets; the
    first unless given."""
    single_task: bool = True
    """Whether each task is also trained alone, with the baseline's seeds."""
    variants: tuple[VariantConfig, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Which runs a study has, without their configurations: all that a report needs.

    Attributes:
        name: Of the study.
        baseline: The variant that the others are compared with.
        seeds: Of each variant.
        single_task: Whether each task is also trained alone.
    """

    name: str
    baseline: str
    seeds: Mapping[str, tuple[int, ...]]
    single_task: bool

    def covers(self, variant: str, task: str | None, seed: int) -> bool:
        """Whether a run is one of the study's."""
        if task is not None:
            return self.single_task and seed in self.seeds[self.baseline]
        return seed in self.seeds.get(variant, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is compared, checked.

    Attributes:
        outline: Its runs.
        configs: Of each variant, the baseline first.
    """

    outline: Outline
    configs: Mapping[str, Config]

    def config(self, variant: str, seed: int) -> Config:
        """What a variant trains with this seed."""
        return self.configs[variant].model_copy(update={"seed": seed})

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the baseline's tasks, in the order of its file."""
        return tuple(self.configs[self.outline.baseline].tasks)


def load_study(file: Path) -> Study:
    """Read a study, or a training configuration as the study of it and each of its tasks alone.

    Raises:
        ConfigError: Naming every mistake of the study, or of the first variant that has any.
    """
    raw = load_yaml(file)
    if not _is_study(raw):
        return study_of(parse_config(raw, source=str(file)))
    config = _parse(raw, file)
    return _build(config, load_yaml(file.parent / config.base), file)


def load_outline(file: Path) -> Outline:
    """The runs of a study's file, or of a training configuration's; their data need not be here.

    Raises:
        ConfigError: Naming every mistake of the study.
    """
    raw = load_yaml(file)
    if _is_study(raw):
        return _outline(_parse(raw, file))
    if not isinstance(raw, dict) or "name" not in raw:
        raise ConfigError(str(file), ["expected a study or a training configuration with a name"])
    return _joint_outline(str(raw["name"]), raw.get("seed", 0))


def study_of(config: Config) -> Study:
    """A run and each of its tasks alone."""
    return Study(outline=_joint_outline(config.name, config.seed), configs={JOINT: config})


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the changes of ``Overrides``."""
    result = dict(base)
    for key, change in changes.items():
        if change is None:
            result.pop(key, None)
        elif isinstance(change, dict) and "name" not in change and isinstance(result.get(key), dict):
            result[key] = merged(result[key], change)
        else:
            result[key] = change
    return result


def _is_study(raw: object) -> bool:
    return isinstance(raw, dict) and bool({"base", "variants"} & raw.keys())


def _parse(raw: object, file: Path) -> StudyConfig:
    try:
        config = StudyConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(str(file), [_fault(each) for each in error.errors(include_url=False)]) from error
    faults = list(_faults(config))
    if faults:
        raise ConfigError(str(file), faults)
    return config


def _outline(config: StudyConfig) -> Outline:
    return Outline(
        name=config.name,
        baseline=config.baseline or config.variants[0].name,
        seeds={
            variant.name: tuple(dict.fromkeys(variant.seeds or config.seeds)) for variant in config.variants
        },
        single_task=config.single_task,
    )


def _joint_outline(name: str, seed: int) -> Outline:
    return Outline(name=name, baseline=JOINT, seeds={JOINT: (seed,)}, single_task=True)


def _build(config: StudyConfig, base: object, file: Path) -> Study:
    if not isinstance(base, dict):
        raise ConfigError(str(file), [f"base: {config.base} is no training configuration"])
    common = merged(base, config.common.model_dump(exclude_unset=True))
    if config.steps is not None:
        common = merged(common, {"training": {"steps": config.steps}})
    outline = _outline(config)
    configs = {}
    for variant in sorted(config.variants, key=lambda each: each.name != outline.baseline):
        raw = merged(common, variant.model_dump(exclude={"name", "seeds"}, exclude_unset=True))
        raw["name"] = f"{config.name}_{variant.name}"
        configs[variant.name] = parse_config(raw, source=f"{file}, variant {variant.name}")
    return Study(outline=outline, configs=configs)


def _faults(config: StudyConfig) -> Iterator[str]:
    names = [variant.name for variant in config.variants]
    if ALONE in names:
        yield f"variants: {ALONE!r} is what reports call each task's own run; take another name"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"variants: {name!r} is there twice"
    if config.baseline is not None and config.baseline not in names:
        close = difflib.get_close_matches(config.baseline, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        yield f"baseline: no variant {config.baseline!r}{hint} known: {', '.join(names)}"
    for variant in config.variants:
        for field in BUDGET:
            if field in variant.training:
                yield (
                    f"variants.{variant.name}.training.{field}: all runs have the same budget: set steps of "
                    "the study, or common.training"
                )


def _fault(error: Mapping[str, Any]) -> str:
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key"
    found = "" if error["type"] == "missing" else f", found {error['input']!r}"
    return f"{place}: {error['msg']}{found}"
