"""Everything a resumed run needs to continue exactly: one mechanism for all its parts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch


class Stateful(Protocol):
    """A part of the loop with a memory."""

    def state_dict(self) -> dict[str, Any]:
        """All of it, in types that ``torch.load`` reads without running code."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> object:
        """Put it back."""
        ...


class RandomState:
    """PyTorch's global random generators, which dropout draws from."""

    def state_dict(self) -> dict[str, Any]:
        """CPU's and, where there are any, CUDA devices' states."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"cpu": torch.get_rng_state(), "cuda": cuda}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put them back."""
        torch.set_rng_state(state["cpu"])
        if state["cuda"]:
            torch.cuda.set_rng_state_all(state["cuda"])


def save_state(file: Path, parts: Mapping[str, Stateful], *, step: int) -> None:
    """Save the parts' states and the number of steps done."""
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"step": step, "parts": {name: part.state_dict() for name, part in parts.items()}}, file)


def load_state(file: Path, parts: Mapping[str, Stateful]) -> int:
    """Put saved states back. Returns the number of steps done."""
    saved = torch.load(file, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved["parts"][name])
    return int(saved["step"])
