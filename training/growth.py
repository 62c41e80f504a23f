"""Adding tasks to a trained model: replay of known tasks, and what it gave and took."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rich.table import Table

from training.evaluation import Metrics
from training.samplers.probabilities import power


def replay_probabilities(sizes: Mapping[str, int], added: Collection[str], share: float) -> dict[str, float]:
    """Share of the batches of each task, when known tasks are replayed beside new ones.

    Args:
        sizes: Examples of each task; known and new ones.
        added: The new tasks.
        share: Of the known tasks together; within them, and within the new ones, by size.
    """
    known = power({name: size for name, size in sizes.items() if name not in added}, 1.0)
    new = power({name: size for name, size in sizes.items() if name in added}, 1.0)
    return {name: share * known[name] if name in known else (1 - share) * new[name] for name in sizes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A task's primary metric in two models."""

    metric: str
    before: float
    after: float


def changes(before: Metrics, after: Metrics) -> dict[str, Change]:
    """The primary metric of each task that both have measured; the first of its metrics."""
    found = {}
    for task, metrics in after.items():
        metric, value = next(iter(metrics.items()))
        if metric in before.get(task, {}):
            found[task] = Change(metric=metric, before=before[task][metric], after=value)
    return found


def changes_table(title: str, found: Mapping[str, Change], first: str, second: str) -> Table:
    """Changes for people; a negative difference is a loss.

    Args:
        title: Above the table.
        found: By task.
        first: Names the model before.
        second: Names the model after.
    """
    table = Table("task", "metric", first, second, "difference", title=title, title_justify="left")
    for task, each in found.items():
        numbers = (f"{each.before:.4f}", f"{each.after:.4f}", f"{each.after - each.before:+.4f}")
        table.add_row(task, each.metric, *numbers)
    return table
