"""Infinity, with its torch engine and with its ONNX one (optimum)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.peers.peer import Launch, Place, thread_variables

VERSION = "0.0.78"


@dataclass(frozen=True, slots=True, kw_only=True)
class Infinity:
    """``infinity_emb v2`` with a classification model.

    Attributes:
        engine: ``torch`` or ``optimum``.
    """

    engine: str
    venv: str = "infinity"
    python: str = "python3"
    requirements: tuple[str, ...] = (f"infinity-emb[torch,optimum,server]=={VERSION}", "click<8.2")
    path: str = "/classify"

    @property
    def name(self) -> str:
        """With its engine: the best one counts."""
        return f"infinity-{self.engine}"

    @property
    def title(self) -> str:
        """Likewise."""
        return f"Infinity {VERSION}, {self.engine}"

    def finish(self, venv: Path) -> None:
        """Nothing is left."""

    def launch(self, place: Place) -> Launch:
        """One engine, one model.

        It starts in the model's folder, as its ONNX engine finds no file by a longer path, and keeps the
        graphs that it optimises there: its cache is named by the path alone, and models would be mixed up.
        """
        return Launch(
            command=(
                str(place.venv / "bin" / "infinity_emb"), "v2", "--model-id", ".",
                "--served-model-name", "sc", "--engine", self.engine, "--device", "cpu",
                "--no-compile", "--no-bettertransformer", "--no-model-warmup",
                "--host", "127.0.0.1", "--port", str(place.port),
            ),
            environment={
                **thread_variables(place.threads),
                "DO_NOT_TRACK": "1",
                "HF_HUB_CACHE": str((place.model / "cache").absolute()),
                "INFINITY_ANONYMOUS_USAGE_STATS": "0",
            },
            folder=place.model,
        )  # fmt: skip

    def body(self, text: str) -> dict[str, Any]:
        """One input."""
        return {"model": "sc", "input": [text]}

    def scores(self, answer: Any, labels: Sequence[str]) -> dict[str, float]:  # noqa: ANN401
        """Every label with its score, the most probable first."""
        (entries,) = answer["data"]
        found = {entry["label"]: entry["score"] for entry in entries}
        return {label: found[label] for label in labels}
