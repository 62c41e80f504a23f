"""Are the served answers on whole dev sets those of the torch model?

    python -m loadtests.served_parity runs/NAME bundles/NAME [--rows 2000]

Every dev row of every task, or the first ``--rows``, goes over HTTP to a real service and through the torch
model of the run. Decisions (labels, entities, answers, orders) must be identical unless two tie, logits and
values must agree within 1e-3. Exits 1 if not.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from loadtests.answered_metrics import ask, measure_answers
from loadtests.errors import LoadTestError
from loadtests.served_answers import TOLERANCE, compare_answers
from loadtests.server import serve
from training.assembly.trained import TrainedModel, load_model
from training.data import encode_examples, load_examples
from training.errors import TrainingError
from training.evaluation import predict_logits
from training.kinds.base import Calibration
from training.progress import build_progress

TORCH_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskParity:
    """One task's comparison.

    Attributes:
        rows: Compared.
        differing: Answers that differ although the torch model's two best are more than the tolerance apart.
        deviation: Largest difference of a logit or value.
        torch_metrics: Of the torch model's outputs.
        served_metrics: Of the served answers.
    """

    task: str
    rows: int
    differing: int
    deviation: float
    torch_metrics: dict[str, float]
    served_metrics: dict[str, float]

    @property
    def holds(self) -> bool:
        """Whether the served answers are the torch model's."""
        return self.differing == 0 and self.deviation <= TOLERANCE


def compare(
    trained: TrainedModel,
    task_name: str,
    client: httpx.Client,
    *,
    rows: int | None,
    on_rows: Callable[[int], None],
) -> TaskParity:
    """Send a task's first dev rows, or all, to the service and to the torch model."""
    task, config = trained.tasks[task_name], trained.config.tasks[task_name]
    calibration = Calibration(**trained.metrics.get("calibration", {}).get(task_name, {}))
    examples = load_examples(task, config.data.dev)
    examples = examples.take(range(min(len(examples), rows or len(examples))))
    encoded = encode_examples(task, examples, trained.tokenizer)
    logits = predict_logits(trained.model, task, encoded, batch_size=TORCH_BATCH, on_batch=on_rows)
    answers = ask(client, task_name, examples, on_rows=on_rows)
    served = compare_answers(task.kind, calibration, examples, encoded, logits, answers)
    return TaskParity(
        task=task_name,
        rows=len(examples),
        differing=served.differing,
        deviation=served.deviation,
        torch_metrics=task.kind.measure(logits, encoded, calibration),
        served_metrics=measure_answers(task.kind, calibration, examples, encoded, answers),
    )


def report(parities: Sequence[TaskParity]) -> str:
    """A Markdown table."""
    lines = [
        "| task | dev rows | answers that differ | largest difference | metric | torch | served |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in parities:
        metric = next(iter(each.torch_metrics))
        lines.append(
            f"| {each.task} | {each.rows} | {each.differing} | {each.deviation:.1e} | {metric} | "
            f"{each.torch_metrics[metric]:.4f} | {each.served_metrics[metric]:.4f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare every task. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.served_parity", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rows", type=int, help="of each task; all by default")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    console = Console()
    try:
        trained = load_model(options.run)
        with (
            serve(options.bundle, threads=options.threads) as server,
            build_progress(console) as progress,
            httpx.Client(base_url=server.url, timeout=120.0) as client,
        ):
            bar = progress.add_task("comparing", total=None, note="")
            parities = [
                compare(
                    trained, task, client, rows=options.rows, on_rows=lambda done: progress.advance(bar, done)
                )
                for task in trained.tasks
            ]
    except (TrainingError, LoadTestError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(parities))
    return 0 if all(each.holds for each in parities) else 1


if __name__ == "__main__":
    sys.exit(main())
