"""New tasks for the tiny run and its bundle: one over vectors, one over token states."""

from pathlib import Path
from typing import Any

from rich.console import Console

from tests.support.tiny import tiny_config, write_config
from tests.support.tiny_kinds import TAGS, write_kinds
from training.commands.fit import fit

NEW_TASKS = ("tone", "things")


def growing_config(folder: Path, encoder: Path, **training: Any) -> dict[str, Any]:
    """The tiny run's configuration with two tasks more; their data is written into ``folder``."""
    raw = tiny_config(folder, encoder)
    data = write_kinds(folder / "new")
    raw["tasks"] |= {
        "tone": {"kind": "classification", "data": data["texts"], "label": "mood",
                 "labels": ["bad", "fine", "good"], "head": {"type": "mlp", "hidden": [8]}},
        "things": {"kind": "tagging", "data": data["tagged"], "labels": TAGS},
    }  # fmt: skip
    raw["training"] = {"steps": 6, "batch_size": 4, "evaluate_every": 3, **training}
    return raw


def grow(folder: Path, source: Path, encoder: Path, **training: Any) -> Path:
    """Train the new tasks' heads on a run's or bundle's encoder, into ``folder/run``."""
    file = write_config(folder / "grown.yaml", growing_config(folder, encoder, **training))
    growth = {"source": str(source), "add": list(NEW_TASKS)}
    fit(file, folder / "run", resume=False, console=Console(quiet=True), growth=growth)
    return folder / "run"
