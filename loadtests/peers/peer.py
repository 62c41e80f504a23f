"""The seam: what a service must tell about itself to be asked, started and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from loadtests.server import ROOT


class Asking(Protocol):
    """How one text is asked of a service, and how its answer is read."""

    @property
    def path(self) -> str:
        """Of the requests."""

    def body(self, text: str) -> dict[str, Any]:
        """The request on a text, as JSON values."""

    def scores(self, answer: Any, labels: Sequence[str]) -> dict[str, float]:  # noqa: ANN401 - parsed JSON
        """Probability of each label.

        Args:
            answer: The parsed response on one text.
            labels: In the order of the model's outputs.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a peer runs, and on what."""

    venv: Path
    """Of the peer."""
    model: Path
    """A transformers folder."""
    bundle: Path
    """The bundle with the same weights."""
    task: str
    port: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A process to start."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT
    """In which it starts."""
    is_never_idle: bool = False
    """Whether it keeps a core busy while nobody asks it, which the other side would lack: it is stopped
    then."""


class Peer(Asking, Protocol):
    """Another service that answers a classification task."""

    @property
    def name(self) -> str:
        """On the command line and in file names."""

    @property
    def title(self) -> str:
        """In tables and pictures, with its version."""

    @property
    def venv(self) -> str | None:
        """Name of its environment, which several peers may share; None for ours."""

    @property
    def python(self) -> str:
        """The interpreter that makes the environment."""

    @property
    def requirements(self) -> tuple[str, ...]:
        """Of pip, after torch."""

    def finish(self, venv: Path) -> None:
        """Do what pip leaves to be done, any number of times."""

    def launch(self, place: Place) -> Launch:
        """How to serve a model on the loopback interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """This repository's service, asked for one task."""

    task: str

    @property
    def path(self) -> str:
        """The task's own route."""
        return f"/v1/tasks/{self.task}/predict"

    def body(self, text: str) -> dict[str, Any]:
        """One input."""
        return {"inputs": [{"text": text}]}

    def scores(self, answer: Any, labels: Sequence[str]) -> dict[str, float]:  # noqa: ANN401
        """As the answer names them."""
        (prediction,) = answer["predictions"]
        return {label: prediction["scores"][label] for label in labels}


def thread_variables(threads: int) -> dict[str, str]:
    """What OpenMP, MKL and the tokenizers read, the same for every peer."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
