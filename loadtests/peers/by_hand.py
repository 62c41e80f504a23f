"""Frameworks that serve a function of the user's: the same few lines of torch or ONNX Runtime in each."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.peers.peer import Launch, Place, thread_variables
from loadtests.server import ROOT

SERVERS = Path(__file__).parent / "servers"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """A script under ``servers/`` that reads ``MODEL_DIR``, ``THREADS`` and ``PORT``.

    Attributes:
        script: Its name.
    """

    name: str
    title: str
    script: str
    requirements: tuple[str, ...]
    path: str = "/predict"
    python: str = "python3"

    @property
    def venv(self) -> str:
        """Its own."""
        return self.name

    def finish(self, venv: Path) -> None:
        """Nothing is left."""

    def launch(self, place: Place) -> Launch:
        """The script, by the peer's interpreter."""
        return Launch(
            command=(str(place.venv / "bin" / "python"), str(SERVERS / self.script)),
            environment={
                **thread_variables(place.threads),
                "PYTHONPATH": str(ROOT),
                "PATH": f"{place.venv / 'bin'}:/usr/local/bin:/usr/bin:/bin",
                "MODEL_DIR": str(place.model.absolute()),
                "THREADS": str(place.threads),
                "PORT": str(place.port),
            },
        )

    def body(self, text: str) -> dict[str, Any]:
        """The text, under its name."""
        return {"text": text}

    def scores(self, answer: Any, labels: Sequence[str]) -> dict[str, float]:  # noqa: ANN401
        """They come in the order of the labels."""
        return dict(zip(labels, answer["scores"], strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class PyTriton(ByHand):
    """Triton with its Python backend, by PyTriton, asked in Triton's own protocol."""

    def body(self, text: str) -> dict[str, Any]:
        """A tensor of one string."""
        tensor = {"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [text]}
        # Its HTTP answers are binary unless asked otherwise.
        return {"inputs": [tensor], "outputs": [{"name": "scores", "parameters": {"binary_data": False}}]}

    def scores(self, answer: Any, labels: Sequence[str]) -> dict[str, float]:  # noqa: ANN401
        """A tensor in the order of the labels."""
        (tensor,) = answer["outputs"]
        return dict(zip(labels, tensor["data"], strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class BentoMlBatchable:
    """Plain BentoML: ``@bentoml.api(batchable=True)`` over the bundle's own graphs, in our environment."""

    name: str = "bentoml"
    title: str = "BentoML batchable, ONNX"
    venv: None = None
    python: str = sys.executable
    requirements: tuple[str, ...] = ()
    path: str = "/predict"

    def finish(self, venv: Path) -> None:
        """Nothing is left."""

    def launch(self, place: Place) -> Launch:
        """One worker."""
        return Launch(
            command=(
                sys.executable, "-m", "bentoml", "serve", "loadtests.peers.servers.bento_app:Plain",
                "--host", "127.0.0.1", "--port", str(place.port),
            ),
            environment={
                **thread_variables(place.threads),
                "PEER_BUNDLE": str(place.bundle.absolute()),
                "PEER_TASK": place.task,
                "THREADS": str(place.threads),
            },
        )  # fmt: skip

    def body(self, text: str) -> dict[str, Any]:
        """A batch of one: BentoML joins those of several requests."""
        return {"texts": [text]}

    def scores(self, answer: Any, labels: Sequence[str]) -> dict[str, float]:  # noqa: ANN401
        """A row in the order of the labels."""
        (row,) = answer
        return dict(zip(labels, row, strict=True))
