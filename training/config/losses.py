"""The YAML file's schema of losses. A loss without parameters may be written as its name alone."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag

from training.config.section import Section

ClassWeights = Annotated[
    Annotated[Literal["balanced"], Tag("balanced")]
    | Annotated[tuple[Annotated[float, Field(gt=0)], ...], Tag("weights")],
    Discriminator(lambda given: "balanced" if isinstance(given, str) else "weights"),
]
"""One for each label, or ``balanced``: by how often each occurs in train."""


class CrossEntropyConfig(Section):
    """Of one label; of several labels at once, binary for each."""

    name: Literal["cross_entropy"] = "cross_entropy"
    class_weights: ClassWeights | None = None
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target that is spread evenly."""


class FocalConfig(Section):
    """Cross-entropy that discounts what is answered surely and rightly: Lin et al. 2017."""

    name: Literal["focal"]
    gamma: float = Field(default=2.0, ge=0)
    class_weights: ClassWeights | None = None


class MseConfig(Section):
    """Mean squared error."""

    name: Literal["mse"] = "mse"


class HuberConfig(Section):
    """Squared error up to ``delta``, linear beyond it."""

    name: Literal["huber"]
    delta: float = Field(default=1.0, gt=0)


def _by_name(given: object) -> object:
    return {"name": given} if isinstance(given, str) else given


LabelLossConfig = Annotated[
    CrossEntropyConfig | FocalConfig, Field(discriminator="name"), BeforeValidator(_by_name)
]
ValueLossConfig = Annotated[MseConfig | HuberConfig, Field(discriminator="name"), BeforeValidator(_by_name)]

LOSSES: Mapping[str, type[BaseModel]] = {
    "cross_entropy": CrossEntropyConfig,
    "focal": FocalConfig,
    "mse": MseConfig,
    "huber": HuberConfig,
    "balanced": CrossEntropyConfig,
    "weights": CrossEntropyConfig,
}
"""Names that pydantic puts into the place of a fault, and the section each means."""
