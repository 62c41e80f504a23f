"""Command line.

python -m training fit CONFIG --output RUN      train, then evaluate on dev
python -m training evaluate RUN                 dev metrics again; --data TASK=FILE for other files
python -m training compare RUN                  each task's own run beside the joint one
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from training.build import EVALUATION_BATCH_SIZE, TrainedModel, build_run, load_model, load_saved_config
from training.checkpoint import (
    COMPARISON_FILE,
    CONFIG_FILE,
    RunFolder,
    read_metrics,
    resolve_checkpoint,
    write_metrics,
    write_text_atomically,
)
from training.comparison import comparison_table, single_task_config, transfers
from training.config import Config
from training.config_file import dump_config, load_config
from training.config_tasks import Source
from training.data import encode_examples, load_examples
from training.errors import CheckpointError, ConfigError, TrainingError
from training.evaluation import Metrics, as_sections, predict_logits, report_on_dev
from training.examples import EncodedExamples
from training.kinds.base import Calibration, Logits
from training.processes import this_process
from training.progress import RunObserver, SilentObserver, build_progress, metrics_table, say


def fit(config_file: Path, output: Path, *, resume: bool, console: Console) -> None:
    """Train from a YAML file, then evaluate the best checkpoint on dev."""
    config = load_config(config_file)
    if fit_config(config, output, resume=resume, console=console):
        say(console, f"Finished. Next: python -m export {output} --output bundles/{config.name}")


def fit_config(config: Config, output: Path, *, resume: bool, console: Console) -> bool:
    """Train, then evaluate the best checkpoint on dev. Returns False if all of it was done before."""
    folder = RunFolder(output)
    processes = this_process()
    if processes.is_main_process:
        folder.start(dump_config(config), resume=resume)
    processes.wait_for_everyone()
    index = folder.index
    if index is not None and index.finished:
        say(console, f"{output} is already finished.")
        return False
    run = build_run(config, folder)
    if resume:
        run.resume()
    trainer = run.trainer
    for note in run.notes:
        say(console, note)
    say(console, f"{config.name}: {trainer.settings.steps} steps, {', '.join(config.tasks)}")
    watching: RunObserver | SilentObserver = SilentObserver()
    if processes.is_main_process:
        watching = RunObserver(
            console, output / "tensorboard", steps=trainer.settings.steps, first_step=trainer.step
        )
    with watching as observer:
        trainer.fit(observer, run.write_checkpoint)
    if processes.is_main_process:
        evaluate_run(output, console=console)
        folder.finish()
    processes.wait_for_everyone()
    return True


def evaluate_run(path: Path, *, console: Console) -> Metrics:
    """Evaluate a checkpoint (a run's best one) on dev, calibrate it there, and write both beside it."""
    checkpoint = resolve_checkpoint(path)
    trained = load_model(checkpoint)
    sources = {name: task.data.dev for name, task in trained.config.tasks.items()}
    reports = {
        name: report_on_dev(trained.tasks[name].kind, logits, examples)
        for name, (logits, examples) in _predict(trained, sources, console, "evaluating on dev").items()
    }
    sections = as_sections(reports)
    write_metrics(checkpoint, {**read_metrics(checkpoint), **sections})
    metrics: Metrics = sections["dev"]
    console.print(metrics_table(f"{trained.config.name} on dev", metrics))
    return metrics


def evaluate_on(path: Path, sources: Mapping[str, str], *, console: Console) -> Metrics:
    """Measure a run's tasks on other files, as calibrated on dev. Nothing is kept: dev is what is reported.

    Args:
        path: A run or checkpoint.
        sources: Task → data file.
        console: Where to show.

    Raises:
        ConfigError: If the run has no such task.
    """
    trained = load_model(path)
    if unknown := sorted(sources.keys() - trained.tasks.keys()):
        raise ConfigError(
            trained.config.name, [f"no task {', '.join(unknown)}; the run has {', '.join(trained.tasks)}"]
        )
    fitted = trained.metrics.get("calibration", {})
    metrics = {
        name: trained.tasks[name].kind.measure(logits, examples, Calibration(**fitted.get(name, {})))
        for name, (logits, examples) in _predict(trained, sources, console, "evaluating").items()
    }
    console.print(metrics_table(", ".join(sources.values()), metrics))
    return metrics


def _predict(
    trained: TrainedModel, sources: Mapping[str, Source], console: Console, title: str
) -> dict[str, tuple[Logits, EncodedExamples]]:
    """Logits of tasks on one source each, with the examples."""
    data = {
        name: encode_examples(
            trained.tasks[name], load_examples(trained.tasks[name], source), trained.tokenizer
        )
        for name, source in sources.items()
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


def compare_run(path: Path, only: Sequence[str] | None, *, console: Console) -> None:
    """Train each task of a finished run alone, for as many batches, and write the table beside the run.

    The single-task runs lie under ``single_task/``. One that is finished is not trained again, and an
    interrupted one continues.

    Args:
        path: The run's folder.
        only: These tasks; all if None.
        console: Where to show.

    Raises:
        CheckpointError: If there is no finished run.
        ConfigError: If the run has no such task.
    """
    folder = RunFolder(path)
    index = folder.index
    if index is None or not index.finished:
        raise CheckpointError(
            f"{path} holds no finished run. Run: python -m training fit CONFIG --output {path}"
        )
    config = load_saved_config(path / CONFIG_FILE)
    unknown = [task for task in only or () if task not in config.tasks]
    if unknown:
        raise ConfigError(
            config.name, [f"no task {', '.join(unknown)}; the run has {', '.join(config.tasks)}"]
        )
    last = read_metrics(folder.folder(index.last))
    if "batches" not in last:
        raise CheckpointError(f"{folder.folder(index.last)} does not say how many batches each task had")
    single: Metrics = {}
    for task in only or config.tasks:
        steps = max(1, last["batches"][task] // config.training.gradient_accumulation)
        alone = path / "single_task" / task
        fit_config(single_task_config(config, task, steps=steps), alone, resume=True, console=console)
        single |= read_metrics(resolve_checkpoint(alone))["dev"]
    joint: Metrics = read_metrics(resolve_checkpoint(path))["dev"]
    table = comparison_table(transfers(joint, single, last["batches"]))
    write_text_atomically(path / COMPARISON_FILE, table)
    console.print(table, highlight=False, markup=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fit_parser = commands.add_parser("fit", help="train from a YAML file")
    fit_parser.add_argument("config", type=Path)
    fit_parser.add_argument("--output", type=Path, required=True, help="run folder, such as runs/NAME")
    fit_parser.add_argument("--resume", action="store_true", help="continue an interrupted run exactly")
    evaluate_parser = commands.add_parser("evaluate", help="dev metrics of a run or checkpoint")
    evaluate_parser.add_argument("run", type=Path)
    evaluate_parser.add_argument(
        "--data",
        action="append",
        metavar="TASK=FILE",
        type=_task_and_file,
        help="another file than dev; not kept",
    )
    compare_parser = commands.add_parser("compare", help="train each task alone and compare; resumable")
    compare_parser.add_argument("run", type=Path, help="a finished run")
    compare_parser.add_argument("--tasks", nargs="+", metavar="TASK", help="only these; all by default")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    console = Console(quiet=not this_process().is_main_process)
    try:
        if options.command == "fit":
            fit(options.config, options.output, resume=options.resume, console=console)
        elif options.command == "evaluate":
            if options.data:
                evaluate_on(options.run, dict(options.data), console=console)
            else:
                evaluate_run(options.run, console=console)
        else:
            compare_run(options.run, options.tasks, console=console)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The last checkpoint is kept; --resume continues from it.", file=sys.stderr)
        return 130
    return 0


def _task_and_file(given: str) -> tuple[str, str]:
    task, separator, file = given.partition("=")
    if not (task and separator and Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"expected TASK=FILE with a file that exists, found {given!r}")
    return task, file


if __name__ == "__main__":
    sys.exit(main())
