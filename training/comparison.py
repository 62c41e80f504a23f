"""Did the tasks help each other? Every task's joint figure beside that of a run of its own.

The single-task run has the same settings and as many batches of the task as the joint run drew: the same
budget for the task, not for the whole run.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from training.config.optimization import (
    BatchesConfig,
    ConstantBalancingConfig,
    PlainAggregationConfig,
    PlainSamplingConfig,
)
from training.config.schema import Config
from training.evaluation import Metrics

MARGIN = 0.015
"""Difference of a primary metric from which a transfer is called one: 1.5 points."""

ALONE: Mapping[str, object] = {
    "batches": BatchesConfig(),
    "sampling": PlainSamplingConfig(),
    "balancing": ConstantBalancingConfig(),
    "loss_scale": "none",
    "aggregation": PlainAggregationConfig(),
    "hold": None,
}
"""Settings that say how tasks share a run, as they are for one task by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One task, learned jointly and alone.

    Attributes:
        task: Its name.
        metric: Its primary metric.
        joint: Of the joint run, on dev.
        single: Of the single-task run, on dev.
        steps: Batches that either run learned the task from.
    """

    task: str
    metric: str
    joint: float
    single: float
    steps: int

    @property
    def gain(self) -> float:
        """What joint training gave (above 0) or took."""
        return self.joint - self.single

    def verdict(self, margin: float = MARGIN) -> str:
        """``positive`` or ``negative`` transfer, or ``even`` within the margin."""
        if abs(self.gain) <= margin:
            return "even"
        return "positive" if self.gain > 0 else "negative"


def single_task_config(config: Config, task: str, *, steps: int) -> Config:
    """The joint run's configuration with one task and its share of the steps.

    Args:
        config: Of the joint run.
        task: The task to keep.
        steps: Optimizer steps.
    """
    return config.model_copy(
        update={
            "name": f"{config.name}_{task}",
            "tasks": {task: config.tasks[task]},
            "training": config.training.model_copy(update={**ALONE, "steps": steps, "evaluate_every": None}),
            "selection": config.selection.model_copy(update={"score": None}),
        }
    )


def transfers(joint: Metrics, single: Metrics, steps: Mapping[str, int]) -> list[Transfer]:
    """Compare the tasks of ``single`` by their primary metrics, the first of each.

    Args:
        joint: Dev metrics of the joint run.
        single: Dev metrics of each task's own run.
        steps: Batches of each task.
    """
    found = []
    for task, metrics in single.items():
        metric, value = next(iter(metrics.items()))
        found.append(
            Transfer(task=task, metric=metric, joint=joint[task][metric], single=value, steps=steps[task])
        )
    return found


def comparison_table(found: list[Transfer], margin: float = MARGIN) -> str:
    """The comparison as a Markdown table."""
    lines = ["| task | metric | batches | joint | alone | gain | transfer |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {each.task} | {each.metric} | {each.steps} | {each.joint:.4f} | {each.single:.4f} "
        f"| {each.gain:+.4f} | {each.verdict(margin)} |"
        for each in found
    ]
    return "\n".join(lines) + "\n"
