"""Measure a checkpoint: on dev, where it is also calibrated, or on other files."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from rich.console import Console

from training.assembly.run import EVALUATION_BATCH_SIZE
from training.assembly.trained import TrainedModel, load_model
from training.checkpoint import read_metrics, resolve_checkpoint, write_metrics
from training.config.tasks import Source
from training.data import encode_examples, load_dev, load_examples, origin_of
from training.encoding_store import EncodingStore
from training.errors import ConfigError
from training.evaluation import Metrics, as_sections, predict_logits, report_on_dev
from training.examples import EncodedExamples, Examples
from training.kinds.base import Calibration, Logits
from training.processes import this_process
from training.progress import build_progress, metrics_table
from training.sharing.gate_use import watched_gates


def evaluate_run(path: Path, *, console: Console, store: EncodingStore | None = None) -> Metrics:
    """Evaluate a checkpoint (a run's best one) on dev, calibrate it there, and write both beside it.

    Args:
        path: Of the checkpoint or run.
        console: Where to show.
        store: Of what its frozen encoder gives, where that has been computed.
    """
    checkpoint = resolve_checkpoint(path)
    trained = load_model(checkpoint)
    trained.model.store = store
    dev = {name: load_dev(trained.tasks[name], task.data) for name, task in trained.config.tasks.items()}
    with watched_gates(trained.model.sharing) as gates:
        predicted = _predict(trained, dev, console, "evaluating on dev")
    reports = {
        name: report_on_dev(trained.tasks[name].kind, logits, examples)
        for name, (logits, examples) in predicted.items()
    }
    sections = as_sections(reports)
    if gates:
        sections["gates"] = {name: asdict(use) for name, use in gates.items()}
    write_metrics(checkpoint, {**read_metrics(checkpoint), **sections})
    metrics: Metrics = sections["dev"]
    console.print(metrics_table(f"{trained.config.name} on dev", metrics))
    return metrics


def evaluate_on(
    path: Path,
    sources: Mapping[str, Source],
    *,
    console: Console,
    max_rows: Mapping[str, int | None] = MappingProxyType({}),
) -> Metrics:
    """Measure a run's tasks on other files, as calibrated on dev. Nothing is kept: dev is what is reported.

    Args:
        path: A run or checkpoint.
        sources: Task → data file, or hub split.
        console: Where to show.
        max_rows: Of a task, evenly spaced; all unless given.

    Raises:
        ConfigError: If the run has no such task.
    """
    trained = load_model(path)
    if unknown := sorted(sources.keys() - trained.tasks.keys()):
        raise ConfigError(
            trained.config.name, [f"no task {', '.join(unknown)}; the run has {', '.join(trained.tasks)}"]
        )
    given = {
        name: load_examples(trained.tasks[name], source).thinned(max_rows.get(name))
        for name, source in sources.items()
    }
    fitted = trained.metrics.get("calibration", {})
    metrics = {
        name: trained.tasks[name].kind.measure(logits, examples, Calibration(**fitted.get(name, {})))
        for name, (logits, examples) in _predict(trained, given, console, "evaluating").items()
    }
    console.print(metrics_table(", ".join(map(origin_of, sources.values())), metrics))
    return metrics


def _predict(
    trained: TrainedModel, given: Mapping[str, Examples], console: Console, title: str
) -> dict[str, tuple[Logits, EncodedExamples]]:
    """Logits of tasks on their examples, with these as the encoder reads them."""
    trained.model.to(this_process().device)
    data = {
        name: encode_examples(trained.tasks[name], examples, trained.tokenizer)
        for name, examples in given.items()
    }
    with build_progress(console) as progress:
        bar = progress.add_task(title, total=sum(map(len, data.values())), note="")
        return {
            name: (
                predict_logits(
                    trained.model,
                    trained.tasks[name],
                    examples,
                    batch_size=EVALUATION_BATCH_SIZE,
                    on_batch=lambda done: progress.advance(bar, done),
                ),
                examples,
            )
            for name, examples in data.items()
        }
