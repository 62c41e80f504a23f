"""Train what a study compares, as far as it is not there yet, and report."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from training.assembly.trained import load_saved_config
from training.checkpoint import CONFIG_FILE, ENCODINGS_FOLDER, RunFolder
from training.comparison.estimate import Speed, in_words, total_s
from training.comparison.planning import (
    PlannedRun,
    planned_single_tasks,
    planned_variants,
    redone,
)
from training.comparison.pool import Done, Failed, Work, in_processes
from training.comparison.report import HTML_FILE, MARKDOWN_FILE, write_report
from training.comparison.results import RESULTS_FOLDER, ResultsFolder, finished_index, result_of
from training.comparison.study import JOINT, Study, load_outline, load_study, study_of
from training.comparison.training_run import measure_speed, train_planned
from training.comparison.view import ComparisonView
from training.encoding_store import clear_leftovers
from training.errors import ConfigError, TrainingError
from training.identity import config_hash, identity_of
from training.progress import say

RUNS_FOLDER = "runs"
COMPARISON_FOLDER = "comparison"
"""Of a run's comparison, in its folder."""


class Comparison:
    """A study under way in a folder.

        OUTPUT/results/NAME.seedN.json   what a finished run gave: all that resuming and reporting need
        OUTPUT/runs/NAME.seedN/          an unfinished run, and its log beside it
        OUTPUT/runs/encodings/           what frozen encoders give, until all runs are finished
        OUTPUT/report.md, report.html, pictures/

    Args:
        study: What is compared.
        output: The folder.
        jobs: Runs at once.
        keep_runs: Whether finished runs' folders stay.
        console: Where to show.
    """

    def __init__(self, study: Study, output: Path, *, jobs: int, keep_runs: bool, console: Console) -> None:
        self._study = study
        self._output = output
        self._jobs = jobs
        self._keep_runs = keep_runs
        self._console = console
        self._results = ResultsFolder(output / RESULTS_FOLDER)
        self._speed: Speed | None = None

    def run(self, *, only: Sequence[str] | None = None) -> list[str]:
        """Train what is missing. Returns the names of runs that failed.

        Args:
            only: Of the single-task runs, those of these tasks; all if None.
        """
        clear_leftovers(self._output / RUNS_FOLDER / ENCODINGS_FOLDER)
        variants = planned_variants(self._study)
        baseline = [run for run in variants if run.variant == self._study.outline.baseline]
        failed = self._train(baseline)
        alone = planned_single_tasks(self._study, self._results.read())
        wanted = [run for run in alone if only is None or run.task in only]
        others = [run for run in variants if run not in baseline]
        failed += self._train(sorted([*wanted, *others], key=lambda run: run.config.seed))
        if not failed:
            shutil.rmtree(self._output / RUNS_FOLDER / ENCODINGS_FOLDER, ignore_errors=True)
        return failed

    def _train(self, planned: Sequence[PlannedRun]) -> list[str]:
        results = self._results.read()
        for name in redone(planned, results):
            say(self._console, f"{name}: its result is of another configuration or of other data; again.")
        missing = {run.name: run for run in planned if not run.is_done(results)}
        if not missing:
            return []
        self._announce(missing, len(planned))
        runs = self._output / RUNS_FOLDER
        works = [
            Work(
                name=run.name,
                function=train_planned,
                arguments=(run, runs / run.name, runs / ENCODINGS_FOLDER, self._keep_runs),
                log=runs / f"{run.name}.log",
            )
            for run in missing.values()
        ]
        failed = []
        with ComparisonView(self._console, missing) as view:
            for name, message in in_processes(works, jobs=self._jobs):
                if isinstance(message, Done):
                    self._results.write(message.result)
                elif isinstance(message, Failed):
                    failed.append(name)
                view.show(name, message)
        return failed

    def _announce(self, missing: Mapping[str, PlannedRun], planned: int) -> None:
        """Say how long it will take, measured on a few steps of the baseline."""
        if self._speed is None:
            baseline, runs = self._study.outline.baseline, self._output / RUNS_FOLDER
            seed = self._study.outline.seeds[baseline][0]
            work = Work(
                name="estimate",
                function=measure_speed,
                arguments=(self._study.config(baseline, seed), runs / ENCODINGS_FOLDER),
                log=runs / "estimate.log",
            )
            for _, message in in_processes([work], jobs=1):
                if isinstance(message, Failed):
                    raise TrainingError(f"{self._study.outline.name}: {message.reason}")
                if isinstance(message, Done):
                    self._speed = message.result
        assert self._speed is not None  # noqa: S101 - a piece of work ends with either
        seconds = total_s((run.config for run in missing.values()), self._speed, jobs=self._jobs)
        say(
            self._console,
            f"{self._study.outline.name}: {len(missing)} of {planned} runs to train, {self._jobs} at once; "
            f"about {in_words(seconds)}.",
        )


def compare(
    path: Path,
    *,
    output: Path | None,
    jobs: int,
    only: Sequence[str] | None,
    keep_runs: bool,
    report_only: bool,
    console: Console,
) -> list[str]:
    """Compare what a file declares, or a finished run with each of its tasks alone.

    Args:
        path: A study, a training configuration, or the folder of a finished run.
        output: Where results and report go; of a run, its folder ``comparison`` unless given.
        jobs: Runs at once.
        only: Of the single-task runs, those of these tasks; all if None.
        keep_runs: Whether finished runs' folders stay.
        report_only: Whether to train nothing.
        console: Where to show.

    Returns:
        Names of runs that failed.

    Raises:
        TrainingError: For anything that the user can correct.
    """
    if output is None:
        if not path.is_dir():
            raise TrainingError(f"{path} is a file: say where results and report go with --output FOLDER")
        output = path / COMPARISON_FOLDER
    failed: list[str] = []
    if report_only and not path.is_dir():
        outline = load_outline(path)
    else:
        study = _study_of_run(path, output, report_only=report_only) if path.is_dir() else load_study(path)
        outline = study.outline
        if unknown := [task for task in only or () if task not in study.tasks]:
            raise ConfigError(
                outline.name, [f"no task {', '.join(unknown)}; it has {', '.join(study.tasks)}"]
            )
        comparison = Comparison(study, output, jobs=jobs, keep_runs=keep_runs, console=console)
        failed = [] if report_only else comparison.run(only=only)
    tables = write_report(outline, ResultsFolder(output / RESULTS_FOLDER).read(), output)
    console.print(tables, highlight=False, markup=False, soft_wrap=True)
    say(console, f"Report: {output / HTML_FILE} and {output / MARKDOWN_FILE}")
    return failed


def _study_of_run(run: Path, output: Path, *, report_only: bool) -> Study:
    """The study of a finished run, whose own result is there already."""
    finished_index(run)
    study = study_of(load_saved_config(run / CONFIG_FILE))
    config = study.configs[JOINT]
    if not report_only:  # its tasks alone are to learn from the same
        RunFolder(run).check(identity_of(config))
    result = result_of(
        run, variant=JOINT, task=None, seed=config.seed, config_sha256=config_hash(config), commit=None
    )
    ResultsFolder(output / RESULTS_FOLDER).write(result)
    return study
