"""Are the served answers on whole dev sets those of the torch model?

    python -m loadtests.served_parity runs/NAME bundles/NAME [--rows 2000]

Every dev row of every task, or the first ``--rows``, goes over HTTP to a real service and through the torch
model of the run. Labels must be identical unless two labels tie, scores and values must agree within 1e-3.
Exits 1 if not.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import softmax

from loadtests.server import serve
from training.build import TrainedModel, load_model
from training.data import encode_examples, load_examples
from training.evaluation import predict_logits
from training.progress import build_progress

TOLERANCE = 1e-3
INPUTS_A_REQUEST = 256
TORCH_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskParity:
    """One task's comparison.

    Attributes:
        rows: Compared.
        differing: Labels that differ although the torch model's two best are more than the tolerance apart.
        deviation: Largest difference of a score or value.
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
    examples = load_examples(task, config.data.dev)
    examples = examples.take(range(min(len(examples), rows or len(examples))))
    encoded = encode_examples(task, examples, trained.tokenizer)
    logits = predict_logits(trained.model, task, encoded, batch_size=TORCH_BATCH, on_batch=on_rows)
    expected = np.concatenate(logits)
    if task.kind.labels:
        expected = softmax(expected, axis=1)
    served = np.empty_like(expected)
    for start in range(0, len(examples), INPUTS_A_REQUEST):
        inputs = [example.input for example in examples.items[start : start + INPUTS_A_REQUEST]]
        answer = (
            client.post(f"/v1/tasks/{task_name}/predict", json={"inputs": inputs}).raise_for_status().json()
        )
        for row, prediction in enumerate(answer["predictions"], start):
            served[row] = _numbers(prediction, task.kind.labels)
        on_rows(len(inputs))
    return TaskParity(
        task=task_name,
        rows=len(examples),
        differing=count_differing(expected, served) if task.kind.labels else 0,
        deviation=float(np.abs(expected - served).max()),
        torch_metrics=task.kind.measure(expected[:, None], encoded),
        served_metrics=task.kind.measure(served[:, None], encoded),
    )


def count_differing(expected: NDArray[np.float32], served: NDArray[np.float32]) -> int:
    """Rows with another best label, ties of the expected scores left out.

    Args:
        expected: Shape ``(rows, num_labels)``.
        served: Same shape.
    """
    best_two = np.sort(expected, axis=1)[:, -2:]
    is_tie = best_two[:, 1] - best_two[:, 0] <= TOLERANCE
    return int(((expected.argmax(axis=1) != served.argmax(axis=1)) & ~is_tie).sum())


def _numbers(prediction: dict[str, Any], labels: Sequence[str] | None) -> list[float]:
    return [prediction["scores"][label] for label in labels] if labels else [prediction["value"]]


def report(parities: Sequence[TaskParity]) -> str:
    """A Markdown table."""
    lines = [
        "| task | dev rows | labels that differ | largest difference | metric | torch | served |",
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
    trained = load_model(options.run)
    with serve(options.bundle, threads=options.threads) as server, build_progress(console) as progress:
        bar = progress.add_task("comparing", total=None, note="")
        with httpx.Client(base_url=server.url, timeout=120.0) as client:
            parities = [
                compare(
                    trained, task, client, rows=options.rows, on_rows=lambda done: progress.advance(bar, done)
                )
                for task in trained.tasks
            ]
    print(report(parities))
    return 0 if all(each.holds for each in parities) else 1


if __name__ == "__main__":
    sys.exit(main())
