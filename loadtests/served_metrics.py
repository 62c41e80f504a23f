"""Are a served bundle's dev metrics those that its manifest states?

    python -m loadtests.served_metrics BUNDLE CONFIG [--tasks TASK …] [--rows 500] [--data TASK=FILE …]

CONFIG is the training configuration, for the tasks' dev data; no run is needed. Every dev row goes over HTTP
to a real service. Exits 1 if a task's primary metric on its whole dev data differs from the manifest's by
more than 0.002. With ``--data``, the named tasks are measured on other files instead, for which the manifest
states nothing.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from tokenizers import Tokenizer

from export.manifest import TOKENIZER_FILE, BundleError, Manifest, TaskEntry, read_manifest
from loadtests.answered_metrics import ask, measure_answers
from loadtests.errors import LoadTestError
from loadtests.server import serve
from service.cpus import usable_cpus
from training.assembly.data import build_tasks, with_tags
from training.config.file import load_config
from training.config.schema import Config
from training.config.tasks import DataConfig
from training.data import encode_examples, load_dev, load_examples
from training.errors import TrainingError
from training.examples import Examples
from training.kinds.base import Calibration
from training.progress import build_progress
from training.tasks import Task
from training.tokenization import build_tokenizer

LARGEST_DIFFERENCE = 0.002
TIMEOUT_S = 600.0
LIMITS = {"ENCODEONCE_TIMEOUT_S": str(TIMEOUT_S), "ENCODEONCE_MAX_TEXT_CHARS": "1000000"}
"""Of the service: a busy machine, or long contexts, are no failure here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One task's answers, measured.

    Attributes:
        rows: Asked.
        metrics: Of the answers, the primary one first.
        stated: The primary metric in the manifest; None where it says nothing of these rows.
    """

    task: str
    rows: int
    metrics: dict[str, float]
    stated: float | None

    @property
    def is_as_stated(self) -> bool:
        """Whether the primary metric is the manifest's, or that says nothing."""
        found = next(iter(self.metrics.values()))
        return self.stated is None or abs(found - self.stated) <= LARGEST_DIFFERENCE


def calibration_of(entry: TaskEntry) -> Calibration:
    """What the service applies to the logits."""
    return Calibration(
        temperature=entry.temperature,
        thresholds=entry.thresholds,
        no_answer_threshold=entry.spans.no_answer_threshold if entry.spans is not None else None,
    )


def tasks_of(config: Config, manifest: Manifest, wanted: Sequence[str]) -> dict[str, Task]:
    """The configuration's tasks that are asked for.

    Raises:
        LoadTestError: If the bundle or the configuration does not have one.
    """
    tasks = build_tasks(with_tags(config))
    both = [name for name in tasks if name in manifest.tasks]
    if unknown := [name for name in wanted if name not in both]:
        raise LoadTestError(f"no task {', '.join(unknown)}; bundle and configuration have {', '.join(both)}")
    return {name: tasks[name] for name in wanted or both}


def report(measured: Sequence[Measured]) -> str:
    """A Markdown table."""
    lines = ["| task | rows | metric | served | manifest | others |", "|---|---|---|---|---|---|"]
    for each in measured:
        (metric, value), *others = each.metrics.items()
        stated = "" if each.stated is None else f"{each.stated:.4f}"
        rest = ", ".join(f"{name} {other:.4f}" for name, other in others)
        lines.append(f"| {each.task} | {each.rows} | {metric} | {value:.4f} | {stated} | {rest} |")
    return "\n".join(lines)


def measure(
    bundle: Path, config: Config, *, wanted: Sequence[str], rows: int | None, files: Mapping[str, str]
) -> list[Measured]:
    """Ask the bundle's service for every row.

    Args:
        bundle: Folder.
        config: With the tasks' dev data.
        wanted: Tasks; those of ``files`` if given, else all, if empty.
        rows: Of each task; all if None.
        files: Task → data file instead of dev.
    """
    manifest = read_manifest(bundle)
    tasks = tasks_of(config, manifest, [*files] or wanted)
    tokenizer: Tokenizer = build_tokenizer(
        (bundle / TOKENIZER_FILE).read_text(encoding="utf-8"), manifest.encoder.max_length
    )
    given = {
        name: _examples(task, config.tasks[name].data, files.get(name)).thinned(rows)
        for name, task in tasks.items()
    }
    measured = []
    with (
        serve(bundle, threads=usable_cpus(), environment=LIMITS) as server,
        httpx.Client(base_url=server.url, timeout=TIMEOUT_S) as client,
        build_progress(Console(stderr=True)) as progress,
    ):
        bar = progress.add_task("asking", total=sum(map(len, given.values())), note="")
        for name, examples in given.items():
            entry, kind = manifest.tasks[name], tasks[name].kind
            answers = ask(client, name, examples, on_rows=lambda done: progress.advance(bar, done))
            encoded = encode_examples(tasks[name], examples, tokenizer)
            metrics = measure_answers(kind, calibration_of(entry), examples, encoded, answers)
            is_whole_dev = name not in files and rows is None
            stated = entry.metrics.get(next(iter(metrics))) if is_whole_dev else None
            measured.append(Measured(task=name, rows=len(examples), metrics=metrics, stated=stated))
    return measured


def _examples(task: Task, data: DataConfig, file: str | None) -> Examples:
    """A file's rows; by default the dev rows that the manifest's metrics are of."""
    return load_dev(task, data) if file is None else load_examples(task, file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.served_metrics", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("--tasks", nargs="+", default=[], help="all by default")
    parser.add_argument("--rows", type=int, help="of each task, evenly spaced; all by default")
    parser.add_argument("--data", nargs="+", default=[], metavar="TASK=FILE", help="measure these instead")
    options = parser.parse_args(arguments)
    files = dict(each.split("=", 1) if "=" in each else (each, "") for each in options.data)
    if bare := [task for task, file in files.items() if not file]:
        parser.error(f"--data takes TASK=FILE, found {', '.join(bare)}")
    try:
        measured = measure(
            options.bundle, load_config(options.config), wanted=options.tasks, rows=options.rows, files=files
        )
    except (TrainingError, BundleError, LoadTestError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(measured))
    return 0 if all(each.is_as_stated for each in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
