"""How long the runs of a study will take, from a few measured steps of its baseline."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from training.assembly.data import batch_sizes
from training.assembly.optimization import batches_a_draw
from training.config.schema import Config

EVALUATIONS = 10
"""Of a run that does not say how often it is evaluated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What was measured of one configuration.

    Attributes:
        setup_s: Seconds until the first step.
        example_s: Seconds that a step takes for each of its examples.
        row_s: Seconds that an evaluation takes for each row.
        examples: That the whole run learns from.
        selection_rows: Of each task, at each evaluation.
        dev_rows: Of each task, at the end.
    """

    setup_s: float
    example_s: float
    row_s: float
    examples: float
    selection_rows: Mapping[str, int]
    dev_rows: Mapping[str, int]

    def run_s(self, config: Config) -> float:
        """Seconds that a run should take. Methods that cost more by themselves are not told apart."""
        steps = config.training.steps
        examples = self.examples if steps is None else steps * examples_a_step(config)
        every = config.training.evaluate_every
        evaluations = EVALUATIONS if every is None or steps is None else -(-steps // every)
        rows = sum(
            evaluations * self.selection_rows.get(task, 0) + self.dev_rows.get(task, 0)
            for task in config.tasks
        )
        return self.setup_s + examples * self.example_s + rows * self.row_s


def examples_a_step(config: Config) -> float:
    """Examples that an optimizer step learns from, on average over the tasks."""
    sizes = batch_sizes(config).values()
    batches = config.training.gradient_accumulation * batches_a_draw(config.training, len(sizes))
    return batches * sum(sizes) / len(sizes)


def total_s(configs: Iterable[Config], speed: Speed, *, jobs: int) -> float:
    """Seconds for all runs, so many at once on as many shares of the machine."""
    return sum(speed.run_s(config) for config in configs) / jobs


def in_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
