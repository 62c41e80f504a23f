"""The YAML file's schema of sharing architectures.

A layer may be written as its name alone, and then has its default parameters. ``docs/sharing.md`` says what
each does and when to take it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field

from training.config.heads import Dropout, Widths
from training.config.section import Section

Count = Annotated[int, Field(ge=1)]
Fusion = Literal["concat", "sum", "mean"]
Own = Annotated[float, Field(gt=0, le=1)]
Factor = Annotated[float, Field(gt=0)]


class _Sharing(Section):
    tasks: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Those that share; the others' heads read the encoder. All unless given."""
    width: Count | None = None
    """Of what a network gives; the encoder's hidden size unless given."""
    dropout: Dropout = 0.0
    """Before every layer of the networks."""


class _Networks(_Sharing):
    hidden: Widths = ()
    """Of a network's layers below the last."""


class ConditioningConfig(_Networks):
    """One network for all tasks, told which task it is by a one-hot vector, a shift, a scale or both."""

    name: Literal["shared_bottom", "one_hot", "additive", "multiplicative", "film"]


class MixtureConfig(_Networks):
    """Experts weighed by one gate (``moe``) or by a gate for each task (``mmoe``)."""

    name: Literal["moe", "mmoe"]
    experts: Count = 4
    expert_dropout: Dropout = 0.1
    """Probability that training hides an expert from a gate."""


class MultiLevelConfig(MixtureConfig):
    """MMoE in levels."""

    name: Literal["ml_mmoe"]  # type: ignore[assignment]
    levels: Count = 2


class CgcConfig(_Networks):
    """Experts of each task beside shared ones."""

    name: Literal["cgc"]
    task_experts: Count = 1
    """Of each task."""
    shared_experts: Count = 1
    expert_dropout: Dropout = 0.1


class PleConfig(CgcConfig):
    """CGC in levels."""

    name: Literal["ple"]  # type: ignore[assignment]
    levels: Count = 2


class CrossStitchConfig(_Networks):
    """A column for each task, mixed behind every layer."""

    name: Literal["cross_stitch"]
    own: Own = 0.9
    """Where the share of a task's own column starts."""
    rate_factor: Factor = 10.0
    """Of the learning rate of what mixes."""


class SluiceConfig(_Sharing):
    """Columns whose layers have two subspaces, mixed across tasks and across layers."""

    name: Literal["sluice"]
    layers: Count = 2
    own: Own = 0.9
    """Where the share of the own subspace, and of the last layer, starts."""
    penalty: float = Field(default=0.01, ge=0)
    """Of subspaces that are not orthogonal."""
    rate_factor: Factor = 10.0


class AsymmetricConfig(_Networks):
    """Towers of the tasks, some of which other tasks read too."""

    name: Literal["asymmetric"]
    reads: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(min_length=1)
    """Task → tasks whose towers it reads beside its own."""
    fusion: Fusion = "concat"


class CustomisedConfig(_Networks):
    """A tower of each task's own beside one that all share."""

    name: Literal["customised"]
    fusion: Fusion = "concat"


class SoftConfig(_Networks):
    """A tower of each task's own, kept near their mean by a penalty."""

    name: Literal["soft"]
    penalty: float = Field(default=0.01, ge=0)


def _by_name(given: object) -> object:
    return {"name": given} if isinstance(given, str) else given


SharingConfig = Annotated[
    ConditioningConfig
    | MixtureConfig
    | MultiLevelConfig
    | CgcConfig
    | PleConfig
    | CrossStitchConfig
    | SluiceConfig
    | AsymmetricConfig
    | CustomisedConfig
    | SoftConfig,
    Field(discriminator="name"),
    BeforeValidator(_by_name),
]

SHARING: Mapping[str, type[BaseModel]] = {
    name: section
    for section in get_args(get_args(SharingConfig)[0])
    for name in get_args(section.model_fields["name"].annotation)
}
"""Names that pydantic puts into the place of a fault, and the section each means."""
WITHOUT_SHARED_PARAMETERS = frozenset({"soft"})
"""Layers whose tasks meet in a penalty alone."""
WITHOUT_COMMON_PARAMETERS = frozenset({"asymmetric", "soft"})
"""Layers without parameters that every task uses."""
