"""Command line.

python -m training fit CONFIG --output RUN      train, then evaluate on dev; --from RUN_OR_BUNDLE --add TASK
                                                trains the heads of new tasks on a trained encoder
python -m training pretrain CONFIG --output DIR  masked language modelling on the train texts, before fit
python -m training evaluate RUN                 dev metrics again; --data TASK=FILE for other files
python -m training affinity CONFIG --output DIR which tasks help which, from one joint run
python -m training compare RUN                  each task's own run beside the joint one
python -m training compare STUDY --output DIR   variants with equal budgets and seeds; or a CONFIG
"""

import argparse
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from training.commands.affinity import affinity
from training.commands.compare import compare
from training.commands.evaluate import evaluate_on, evaluate_run
from training.commands.fit import fit
from training.commands.pretrain import pretrain
from training.errors import TrainingError
from training.processes import leave_processes, this_process

CONTINUED = (
    "With --resume the same command goes on from the last checkpoint, or from the start before the first one."
)
STOPPED: Mapping[str, str] = {
    "fit": CONTINUED,
    "pretrain": CONTINUED,
    "evaluate": "Nothing has changed.",
    "affinity": "Nothing is kept; the same command starts anew.",
    "compare": "Finished runs are kept; the same command goes on, others from their last checkpoint.",
}
"""What a command that is interrupted has left."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    fit_parser = commands.add_parser("fit", help="train from a YAML file")
    fit_parser.add_argument("config", type=Path)
    fit_parser.add_argument("--output", type=Path, required=True, help="run folder, such as runs/NAME")
    fit_parser.add_argument("--resume", action="store_true", help="continue an interrupted run exactly")
    _add_growth(fit_parser)
    pretrain_parser = commands.add_parser("pretrain", help="pre-train the encoder further on the train texts")
    pretrain_parser.add_argument("config", type=Path)
    pretrain_parser.add_argument("--output", type=Path, required=True, help="folder, such as weights/NAME")
    pretrain_parser.add_argument("--resume", action="store_true", help="continue where it was interrupted")
    evaluate_parser = commands.add_parser("evaluate", help="dev metrics of a run or checkpoint")
    evaluate_parser.add_argument("run", type=Path)
    evaluate_parser.add_argument(
        "--data",
        action="append",
        metavar="TASK=FILE",
        type=_task_and_file,
        help="another file than dev; not kept",
    )
    affinity_parser = commands.add_parser("affinity", help="which tasks help which, from one joint run")
    affinity_parser.add_argument("config", type=Path)
    affinity_parser.add_argument("--output", type=Path, required=True, help="folder of the report")
    affinity_parser.add_argument("--every", type=_count, default=10, help="steps between measurements; 10")
    affinity_parser.add_argument("--rate", type=_rate, default=0.02, help="of the step that is tried; 0.02")
    _add_compare(commands.add_parser("compare", help="train each task alone, or variants, and compare"))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    console = Console(quiet=not this_process().is_main_process)
    try:
        if options.command == "fit":
            fit(
                options.config,
                options.output,
                resume=options.resume,
                growth=_growth(fit_parser, options),
                console=console,
            )
        elif options.command == "pretrain":
            pretrain(options.config, options.output, resume=options.resume, console=console)
        elif options.command == "evaluate":
            if options.data:
                evaluate_on(options.run, dict(options.data), console=console)
            else:
                evaluate_run(options.run, console=console)
        elif options.command == "affinity":
            affinity(options.config, options.output, every=options.every, rate=options.rate, console=console)
        else:
            return _compare(options, console)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nStopped. {STOPPED[options.command]}", file=sys.stderr)
        return 130
    return 0


def _add_growth(parser: argparse.ArgumentParser) -> None:
    """Flags that stand for the section ``growth`` of the file."""
    group = parser.add_argument_group("adding tasks to a trained model")
    group.add_argument("--from", dest="source", metavar="RUN_OR_BUNDLE", help="what to start from")
    group.add_argument("--add", nargs="+", metavar="TASK", help="the new tasks, declared in the file")
    group.add_argument("--joint", action="store_true", help="train the encoder and known tasks on with them")
    group.add_argument("--replay", type=float, metavar="SHARE", help="of the batches, for known tasks")


def _growth(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, Any] | None:
    if options.source is None:
        if options.add or options.joint or options.replay is not None:
            parser.error("--add, --joint and --replay say what to do with a trained model: add --from")
        return None
    if not options.add:
        parser.error("--from needs --add TASK: the tasks that are new")
    growth = {"source": options.source, "add": options.add, "joint": options.joint}
    return growth if options.replay is None else {**growth, "replay": options.replay}


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", type=Path, help="a study, a training configuration, or a finished run")
    parser.add_argument("--output", type=Path, help="folder of results and report; RUN/comparison of a run")
    parser.add_argument("--jobs", type=_count, default=1, help="runs at once, which share the threads; 1")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="train only these alone; all by default")
    parser.add_argument("--keep-runs", action="store_true", help="keep the checkpoints of finished runs")
    parser.add_argument("--report", action="store_true", help="train nothing: report what is there")


def _compare(options: argparse.Namespace, console: Console) -> int:
    failed = compare(
        options.what,
        output=options.output,
        jobs=options.jobs,
        only=options.tasks,
        keep_runs=options.keep_runs,
        report_only=options.report,
        console=console,
    )
    return 1 if failed else 0


def _count(given: str) -> int:
    if not given.isdigit() or int(given) == 0:
        raise argparse.ArgumentTypeError(f"expected a number from 1, found {given!r}")
    return int(given)


def _rate(given: str) -> float:
    try:
        rate = float(given)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {given!r}")
    return rate


def _task_and_file(given: str) -> tuple[str, str]:
    task, separator, file = given.partition("=")
    if not (task and separator and Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"expected TASK=FILE with a file that exists, found {given!r}")
    return task, file


if __name__ == "__main__":
    exit_code = main()
    leave_processes()
    sys.exit(exit_code)
