"""A configuration where nothing is shared: of a task by itself, or of new heads on a frozen encoder."""

from collections.abc import Mapping

from training.config.optimization import (
    BatchesConfig,
    ConstantBalancingConfig,
    PlainAggregationConfig,
    PlainSamplingConfig,
)
from training.config.schema import Config

UNSHARED: Mapping[str, object] = {
    "batches": BatchesConfig(),
    "sampling": PlainSamplingConfig(),
    "example_sampling": "in_turn",
    "balancing": ConstantBalancingConfig(),
    "loss_scale": "none",
    "aggregation": PlainAggregationConfig(),
    "hold": None,
    "conflict_probe": False,
}
"""Settings of ``training`` that say how tasks share a run, as they are for one task by itself."""
SEPARATE: Mapping[str, object] = {**UNSHARED, "layer_decay": None, "unfreeze_every": None}
"""The same where no encoder trains either, and heads have nothing in common."""


def new_heads_alone(config: Config) -> Config:
    """The configuration of a run that trains the added tasks' heads on the source's frozen encoder.

    Args:
        config: With a section ``growth``; it may declare other tasks, which are left out.
    """
    assert config.growth is not None  # noqa: S101 - the caller's promise
    tasks = {name: config.tasks[name] for name in config.growth.add}
    score = [entry for entry in config.selection.score or () if entry.partition(".")[0] in tasks]
    return config.model_copy(
        update={
            "tasks": tasks,
            "sharing": None,
            "encoder": config.encoder.model_copy(update={"train": "frozen"}),
            "training": config.training.model_copy(update=SEPARATE),
            "selection": config.selection.model_copy(update={"score": tuple(score) or None}),
        }
    )
