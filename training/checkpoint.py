"""Run folders and checkpoints, safe against a kill at any moment.

    runs/NAME/
      config.yaml
      identity.json             the contents of data and weights that it was begun with
      encodings/                what a frozen encoder gives, until the run is finished
      checkpoints/
        index.json              {"best": "step-000200", "last": "step-000300", "finished": false}
        step-000300/
          model.safetensors     encoder and heads
          config.yaml           the run's configuration, complete
          encoder/config.json   the backbone's configuration
          tokenizer/tokenizer.json
          metrics.json
          state/training.pt     optimizer, schedule, sampler, streams, random generators

A checkpoint is written under a staging name and renamed; the index is replaced last. A kill before that
leaves the previous checkpoints, a kill after it the new one.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from training.errors import CheckpointError

MODEL_FILE = "model.safetensors"
CONFIG_FILE = "config.yaml"
IDENTITY_FILE = "identity.json"
ENCODER_FOLDER = "encoder"
TOKENIZER_FILE = "tokenizer/tokenizer.json"
METRICS_FILE = "metrics.json"
STATE_FILE = "state/training.pt"
ENCODINGS_FOLDER = "encodings"
STAGING_PREFIX = ".staging-"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Which checkpoints of a run count."""

    best: str
    last: str
    finished: bool = False
    task_best: dict[str, str] = field(default_factory=dict)
    """Task → where it was best by itself; if these are kept."""

    @property
    def kept(self) -> set[str]:
        """Names of all checkpoints that count."""
        return {self.best, self.last, *self.task_best.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a run is a run of.

    Attributes:
        config_sha256: Of configuration and contents together, as a comparison's results have it.
        contents: Of each file or folder that the configuration names, a hash of what is in it.
    """

    config_sha256: str
    contents: dict[str, str]


class RunFolder:
    """A training run's folder.

    Args:
        path: Created on the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checkpoints = path / "checkpoints"
        self._index_file = self._checkpoints / "index.json"

    @property
    def index(self) -> Index | None:
        """The checkpoints that count, or None before the first one.

        Raises:
            CheckpointError: If the index was tampered with.
        """
        return _read(self._index_file, Index)

    @property
    def encodings(self) -> Path:
        """Where a frozen encoder's outputs are kept until the run is finished."""
        return self.path / ENCODINGS_FOLDER

    def folder(self, name: str) -> Path:
        """Where a checkpoint of that name is."""
        return self._checkpoints / name

    @property
    def identity(self) -> Identity | None:
        """What the run was begun with; None of one that did not write it down.

        Raises:
            CheckpointError: If the file was tampered with.
        """
        return _read(self.path / IDENTITY_FILE, Identity)

    def start(self, config_text: str, *, resume: bool, identity: Identity) -> None:
        """Claim the folder for a run.

        Args:
            config_text: The configuration, complete.
            resume: Whether to continue the run that is there.
            identity: Of the run as it would be now.

        Raises:
            CheckpointError: If it holds a run and ``resume`` is off, or the run of another configuration, of
                other data or of other weights.
        """
        config_file = self.path / CONFIG_FILE
        if config_file.is_file():
            if not resume:
                raise CheckpointError(
                    f"{self.path} already holds a run. Add --resume to continue it, or choose another "
                    "--output."
                )
            if config_file.read_text(encoding="utf-8") != config_text:
                raise CheckpointError(
                    f"{self.path} was started with another configuration ({config_file}). Resuming needs the "
                    "same one; choose another --output for a changed one."
                )
        elif self.path.exists() and not _is_empty(self.path):
            raise CheckpointError(f"{self.path} exists and is no run. Choose another --output.")
        self.check(identity)
        write_text_atomically(config_file, config_text)
        if self.identity is None and self.index is None:
            write_text_atomically(self.path / IDENTITY_FILE, json.dumps(asdict(identity), indent=2) + "\n")
        for leftover in self._checkpoints.glob(f"{STAGING_PREFIX}step-*"):
            shutil.rmtree(leftover)

    def check(self, identity: Identity) -> None:
        """See that what the run learnt from is still what it was. A run that wrote nothing down passes.

        Raises:
            CheckpointError: Naming what has changed.
        """
        begun = self.identity
        if begun is not None and begun.contents != identity.contents:
            changed = sorted(dict(begun.contents.items() ^ identity.contents.items()))
            raise CheckpointError(
                f"{self.path} was started with other contents of {', '.join(changed)}. Going on from it "
                "needs the same ones; train with changed ones into another --output."
            )

    def save(
        self, step: int, write: Callable[[Path], None], *, is_best: bool, best_of: Iterable[str] = ()
    ) -> None:
        """Add a checkpoint and drop those that no longer count.

        Args:
            step: Optimizer steps done.
            write: Fills the folder it is given.
            is_best: Whether its joint score is the best so far.
            best_of: Tasks that are at their best by themselves.
        """
        name = f"step-{step:06d}"
        staging = self._checkpoints / f"{STAGING_PREFIX}{name}"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        write(staging)
        if self.folder(name).exists():  # written before a kill that came ahead of the index
            shutil.rmtree(self.folder(name))
        staging.rename(self.folder(name))
        before = self.index
        index = Index(
            best=name if is_best or before is None else before.best,
            last=name,
            task_best={**(before.task_best if before is not None else {}), **dict.fromkeys(best_of, name)},
        )
        self._write_index(index)
        for folder in self._checkpoints.glob("step-*"):
            if folder.name not in index.kept:
                shutil.rmtree(folder)

    def finish(self) -> None:
        """Mark the run as complete: resuming it does nothing more."""
        index = self.index
        if index is not None:
            self._write_index(replace(index, finished=True))
            shutil.rmtree(self.encodings, ignore_errors=True)

    def _write_index(self, index: Index) -> None:
        write_text_atomically(self._index_file, json.dumps(asdict(index), indent=2) + "\n")


def _read(file: Path, section: type[T]) -> T | None:
    if not file.is_file():
        return None
    try:
        return section(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{file} is damaged: {error}") from error


def _is_empty(path: Path) -> bool:
    """Whether a folder holds nothing but what a kill in its first moment may leave."""
    return path.is_dir() and all(entry.name.startswith(STAGING_PREFIX) for entry in path.iterdir())


def resolve_checkpoint(path: Path) -> Path:
    """The checkpoint folder meant by ``path``: itself, or a run's best.

    Raises:
        CheckpointError: If there is none.
    """
    if (path / MODEL_FILE).is_file():
        return path
    index = RunFolder(path).index
    if index is None:
        raise CheckpointError(f"{path} is neither a checkpoint ({MODEL_FILE}) nor a run with one")
    return RunFolder(path).folder(index.best)


def read_metrics(checkpoint: Path) -> dict[str, Any]:
    """``metrics.json`` of a checkpoint: ``step``, ``selection`` and, once evaluated, ``dev``."""
    metrics: dict[str, Any] = json.loads((checkpoint / METRICS_FILE).read_text(encoding="utf-8"))
    return metrics


def write_metrics(checkpoint: Path, metrics: Mapping[str, Any]) -> None:
    """Replace ``metrics.json`` of a checkpoint."""
    write_text_atomically(checkpoint / METRICS_FILE, json.dumps(metrics, indent=2) + "\n")


def write_text_atomically(path: Path, text: str) -> None:
    """Write beside ``path`` and rename: readers see the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f"{STAGING_PREFIX}{path.name}")
    with staging.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    staging.replace(path)
