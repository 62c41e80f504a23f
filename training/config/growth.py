"""The YAML file's schema of a run that adds tasks to a trained model."""

from typing import Annotated

from pydantic import Field

from training.config.section import Section


class GrowthConfig(Section):
    """Tasks added to a trained model: heads alone on its frozen encoder, or all tasks jointly."""

    source: Annotated[str, Field(min_length=1)]
    """A run, a checkpoint, or a bundle."""
    add: tuple[str, ...] = Field(min_length=1)
    """Tasks of the file that are new."""
    joint: bool = False
    """Whether the encoder and the known heads train on, together with the new ones."""
    replay: float | None = Field(default=None, gt=0, lt=1)
    """Share of the batches that known tasks get; by ``training.sampling`` unless given."""
