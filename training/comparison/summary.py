"""Results of runs → means, their differences, and which of these exceed the seeds' spread.

The spread of a figure is its standard deviation over seeds. Few seeds estimate it badly, so it is pooled: one
for each task, from all variants that ran with several seeds. A difference of two means is called clear from
twice its standard error ``s·√(1/n₁ + 1/n₂)``. Without any repeated run it is called clear from a margin.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from training.comparison.results import RunResult
from training.comparison.study import ALONE

MEAN = "mean"
"""Key of the mean over the tasks, beside the tasks' own names."""
MARGIN = 0.015
"""Difference of a primary metric that is called clear where no spread is known: 1.5 points."""
CLEAR = 2.0
"""Standard errors from which a difference is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of training.

    Attributes:
        name: Of the variant; ``alone`` for each task's own runs together.
        seeds: Of its runs.
        values: Primary metrics on dev by task, and their mean under ``MEAN`` where all tasks took part; one
            for each seed.
        batches: Of each task, on average.
        steps: Optimizer steps of a run.
        cpu_s: Processor seconds of a run's steps, on average.
        wall_s: Seconds, likewise.
        peak_mib: Largest memory of a run.
        parameters: Trained numbers; of the tasks alone, of their models together. None where unknown.
    """

    name: str
    seeds: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    batches: Mapping[str, float]
    steps: int
    cpu_s: float
    wall_s: float
    peak_mib: float
    parameters: int | None

    def mean(self, key: str) -> float | None:
        """Over the seeds; None for a task that did not take part."""
        values = self.values.get(key)
        return sum(values) / len(values) if values else None

    def spread(self, key: str) -> float | None:
        """Standard deviation over the seeds; None of a single one."""
        values = self.values.get(key, ())
        return math.sqrt(_squares(values) / (len(values) - 1)) if len(values) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Between two means.

    Attributes:
        value: Above 0 where the first one is better.
        error: Its standard error by the pooled spread; None if no spread is known.
    """

    value: float
    error: float | None

    @property
    def threshold(self) -> float:
        """Size from which a difference is clear: twice the standard error, or a fixed margin without one."""
        return MARGIN if self.error is None else CLEAR * self.error

    @property
    def is_clear(self) -> bool:
        """Whether it is beyond what the spread over seeds explains."""
        return abs(self.value) > self.threshold

    @property
    def verdict(self) -> str:
        """``positive``, ``negative`` or ``even``."""
        if not self.is_clear:
            return "even"
        return "positive" if self.value > 0 else "negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A study's figures.

    Attributes:
        metrics: The primary metric of each task.
        baseline: What the others are compared with.
        rows: Of all variants with a result, the best mean first.
        alone: Each task's own runs together, if there are any.
        spreads: Pooled, by task and ``MEAN``; no entry where nothing ran twice.
    """

    metrics: Mapping[str, str]
    baseline: Row
    rows: Sequence[Row]
    alone: Row | None
    spreads: Mapping[str, float] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names, in the order of the baseline's file."""
        return tuple(self.metrics)

    def difference(self, row: Row, other: Row | None, key: str) -> Difference | None:
        """Of a row from another; None where either has no figure."""
        ours, theirs = row.mean(key), other.mean(key) if other is not None else None
        if other is None or ours is None or theirs is None:
            return None
        spread = self.spreads.get(key)
        error = None
        if spread is not None:
            error = spread * math.sqrt(1 / len(row.values[key]) + 1 / len(other.values[key]))
        return Difference(value=ours - theirs, error=error)

    def negative_transfer(self, row: Row) -> list[str]:
        """Tasks that are clearly worse than alone."""
        found = {task: self.difference(row, self.alone, task) for task in self.tasks}
        return [task for task, each in found.items() if each is not None and each.verdict == "negative"]


def summarise(results: Iterable[RunResult], *, baseline: str) -> Summary | None:
    """Figures of a study; None while its baseline has no result.

    Args:
        results: Of its runs.
        baseline: Name of the variant that the others are compared with.
    """
    by_variant: dict[str, list[RunResult]] = {}
    for result in results:
        by_variant.setdefault(ALONE if result.task is not None else result.variant, []).append(result)
    first = by_variant.get(baseline)
    if not first:
        return None
    metrics = {task: next(iter(values)) for task, values in first[0].dev.items()}
    rows = {name: _row(name, found, list(metrics)) for name, found in by_variant.items()}
    alone = rows.pop(ALONE, None)
    best_first = sorted(rows.values(), key=lambda row: -(row.mean(MEAN) or -math.inf))
    every = [*rows.values(), *([alone] if alone is not None else [])]
    spreads = {key: spread for key in (*metrics, MEAN) if (spread := _pooled(every, key)) is not None}
    return Summary(metrics=metrics, baseline=rows[baseline], rows=best_first, alone=alone, spreads=spreads)


def _row(name: str, results: Sequence[RunResult], tasks: Sequence[str]) -> Row:
    """A seed's runs count as one: of the tasks alone there are several."""
    seeds = tuple(sorted({result.seed for result in results}))
    by_seed = [[result for result in results if result.seed == seed] for seed in seeds]
    scores = [
        {task: score for run in runs for task, score in run.primary.items() if task in tasks}
        for runs in by_seed
    ]
    values = {task: tuple(score[task] for score in scores if task in score) for task in tasks}
    values[MEAN] = tuple(sum(score.values()) / len(tasks) for score in scores if len(score) == len(tasks))
    drawn = {task: [run.batches[task] for run in results if task in run.batches] for task in tasks}
    return Row(
        name=name,
        seeds=seeds,
        values={key: found for key, found in values.items() if found},
        batches={task: sum(found) / len(found) for task, found in drawn.items() if found},
        steps=max(result.steps for result in results),
        cpu_s=sum(result.cpu_s for result in results) / len(seeds),
        wall_s=sum(result.wall_s for result in results) / len(seeds),
        peak_mib=max(result.peak_mib for result in results),
        parameters=_parameters(by_seed[0]),
    )


def _parameters(results: Sequence[RunResult]) -> int | None:
    found = [result.parameters for result in results if result.parameters is not None]
    return sum(found) if len(found) == len(results) else None


def _pooled(rows: Iterable[Row], key: str) -> float | None:
    repeated = [row.values[key] for row in rows if len(row.values.get(key, ())) > 1]
    if not repeated:
        return None
    return math.sqrt(sum(map(_squares, repeated)) / sum(len(values) - 1 for values in repeated))


def _squares(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values)
