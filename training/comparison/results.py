"""The small JSON that a finished run leaves: all that a comparison shows of it, without its checkpoints."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from training.checkpoint import Index, RunFolder, read_metrics, write_text_atomically
from training.errors import CheckpointError
from training.evaluation import Metrics
from training.history import HistoryPoint, read_history, rounded

RESULTS_FOLDER = "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One finished run.

    Attributes:
        variant: Its name in the study.
        task: The only task, of a task's own run; None of a variant.
        seed: Of the run.
        config_sha256: What it is a result of; see ``config_hash``.
        commit: Of the code, if known.
        step: Of the chosen checkpoint.
        batches: Of each task, that the run has learnt from.
        dev: Metrics of the chosen checkpoint, the primary one of each task first.
        history: An entry for each evaluation.
        parameters: Numbers that the run trained; None of a run that did not write it down.
    """

    variant: str
    task: str | None
    seed: int
    config_sha256: str
    commit: str | None
    step: int
    batches: dict[str, int]
    dev: Metrics
    history: tuple[HistoryPoint, ...]
    parameters: int | None = None

    @property
    def name(self) -> str:
        """What the study calls the run, and its file: ``VARIANT.seedN``."""
        return run_name(self.variant, self.seed)

    @property
    def primary(self) -> dict[str, float]:
        """Each task's primary metric on dev."""
        return {task: next(iter(metrics.values())) for task, metrics in self.dev.items()}

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run, also those after the chosen checkpoint."""
        return self.history[-1].step if self.history else self.step

    @property
    def wall_s(self) -> float:
        """Seconds of all steps."""
        return sum(point.wall_s for point in self.history)

    @property
    def cpu_s(self) -> float:
        """Processor seconds of all steps."""
        return sum(point.cpu_s for point in self.history)

    @property
    def peak_mib(self) -> float:
        """Largest resident memory while training, in MiB."""
        return max((point.peak_mib for point in self.history), default=0.0)


def run_name(variant: str, seed: int) -> str:
    """What a study calls a run, and its file: ``VARIANT.seedN``."""
    return f"{variant}.seed{seed}"


def result_of(
    path: Path, *, variant: str, task: str | None, seed: int, config_sha256: str, commit: str | None
) -> RunResult:
    """What a finished run gives.

    Args:
        path: The run's folder.
        variant: As in ``RunResult``, like the others.
        task: Likewise.
        seed: Likewise.
        config_sha256: Of a run that did not write down itself what it is a run of.
        commit: As in ``RunResult``.

    Raises:
        CheckpointError: If it is not finished.
    """
    folder = RunFolder(path)
    index, identity = finished_index(path), folder.identity
    best, last = read_metrics(folder.folder(index.best)), read_metrics(folder.folder(index.last))
    if "batches" not in last:
        raise CheckpointError(f"{folder.folder(index.last)} does not say how many batches each task had")
    return RunResult(
        variant=variant,
        task=task,
        seed=seed,
        config_sha256=identity.config_sha256 if identity is not None else config_sha256,
        commit=commit,
        step=best["step"],
        batches=last["batches"],
        dev=best["dev"],
        history=tuple(read_history(path)),
        parameters=last.get("parameters"),
    )


def finished_index(path: Path) -> Index:
    """Which checkpoints of a finished run count.

    Raises:
        CheckpointError: If there is no such run.
    """
    index = RunFolder(path).index
    if index is None or not index.finished:
        raise CheckpointError(
            f"{path} holds no finished run. Run: python -m training fit CONFIG --output {path}"
        )
    return index


class ResultsFolder:
    """The results of a study.

    Args:
        path: Created on the first write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, RunResult]:
        """All results by the names of their runs.

        Raises:
            CheckpointError: If a file is no result.
        """
        files = sorted(self._path.glob("*.json"))
        results: Iterable[RunResult] = map(_read, files)
        return {result.name: result for result in results}

    def write(self, result: RunResult) -> None:
        """Add a result, or replace that of the same run."""
        text = json.dumps(rounded(asdict(result)), indent=1) + "\n"
        write_text_atomically(self._path / f"{result.name}.json", text)


def _read(file: Path) -> RunResult:
    try:
        return _ADAPTER.validate_json(file.read_bytes())
    except ValidationError as error:
        first: Mapping[str, object] = dict(error.errors(include_url=False)[0])
        raise CheckpointError(f"{file} is no result of a run: {first['loc']}: {first['msg']}") from error


_ADAPTER = TypeAdapter(RunResult)
