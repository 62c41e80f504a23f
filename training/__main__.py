"""Command line: ``python -m training fit CONFIG --output RUN`` and ``python -m training evaluate RUN``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from training.build import EVALUATION_BATCH_SIZE, build_run, build_tasks, load_model
from training.checkpoint import RunFolder, read_metrics, resolve_checkpoint, write_metrics
from training.config_file import dump_config, load_config
from training.data import encode_examples, load_examples
from training.errors import TrainingError
from training.evaluation import Metrics, evaluate
from training.progress import RunObserver, build_progress, metrics_table, say


def fit(config_file: Path, output: Path, *, resume: bool, console: Console) -> None:
    """Train, then evaluate the best checkpoint on dev."""
    config = load_config(config_file)
    folder = RunFolder(output)
    folder.start(dump_config(config), resume=resume)
    index = folder.index
    if index is not None and index.finished:
        say(console, f"{output} is already finished.")
        return
    run = build_run(config, folder)
    if resume:
        run.resume()
    trainer = run.trainer
    say(console, f"{config.name}: {trainer.settings.steps} steps, {', '.join(config.tasks)}")
    with RunObserver(
        console, output / "tensorboard", steps=trainer.settings.steps, first_step=trainer.step
    ) as observer:
        trainer.fit(observer, run.write_checkpoint)
    evaluate_run(output, console=console)
    folder.finish()
    say(console, f"Finished. Next: python -m export {output} --output bundles/{config.name}")


def evaluate_run(path: Path, *, console: Console) -> Metrics:
    """Evaluate a checkpoint (a run's best one) on dev and write the figures into its ``metrics.json``."""
    checkpoint = resolve_checkpoint(path)
    trained = load_model(checkpoint)
    tasks = build_tasks(trained.config)
    data = {
        name: encode_examples(tasks[name], load_examples(tasks[name], task.data.dev), trained.tokenizer)
        for name, task in trained.config.tasks.items()
    }
    with build_progress(console) as progress:
        bar = progress.add_task("evaluating on dev", total=sum(map(len, data.values())), note="")
        metrics = evaluate(
            trained.model,
            tasks,
            data,
            batch_size=EVALUATION_BATCH_SIZE,
            on_batch=lambda done: progress.advance(bar, done),
        )
    write_metrics(checkpoint, {**read_metrics(checkpoint), "dev": metrics})
    console.print(metrics_table(f"{trained.config.name} on dev", metrics))
    return metrics


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
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    console = Console()
    try:
        if options.command == "fit":
            fit(options.config, options.output, resume=options.resume, console=console)
        else:
            evaluate_run(options.run, console=console)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The last checkpoint is kept; --resume continues from it.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
