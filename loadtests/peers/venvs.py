"""An environment a peer: they want different versions of the same packages."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from loadtests.errors import LoadTestError
from loadtests.peers.peer import Peer

TORCH = "torch==2.13.0"
"""Installed first and pinned: pulled in by another package it would be a build with gigabytes of CUDA."""
STAMP = "installed.txt"
"""In an environment that is complete: what was asked of pip."""


def venv_of(peer: Peer, folder: Path) -> Path:
    """Where the peer's environment is, or would be."""
    return folder / (peer.venv or "none")


def is_installed(peer: Peer, folder: Path) -> bool:
    """Whether the environment is complete, with what the peer asks for now."""
    stamp = venv_of(peer, folder) / STAMP
    return peer.venv is None or (stamp.is_file() and stamp.read_text(encoding="utf-8") == _wanted(peer))


def install(peer: Peer, folder: Path, *, on_step: Callable[[str], None] = lambda _: None) -> None:
    """Make the environment, if it is not complete.

    Args:
        peer: To run in it.
        folder: Of all environments.
        on_step: Told what is being installed.

    Raises:
        LoadTestError: If the interpreter is missing, or pip fails. Carries the end of its output.
    """
    if is_installed(peer, folder):
        return
    venv = venv_of(peer, folder)
    if shutil.which(peer.python) is None:
        raise LoadTestError(f"{peer.title} needs {peer.python}, which is not there.")
    if not (venv / "bin" / "python").exists():
        _run(peer, [peer.python, "-m", "venv", str(venv)])
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    for step in ([TORCH], [TORCH, *peer.requirements]):
        on_step(f"{peer.name}: {' '.join(step)}")
        _run(peer, [*pip, *step])
    peer.finish(venv)
    (venv / STAMP).write_text(_wanted(peer), encoding="utf-8")


def _wanted(peer: Peer) -> str:
    return "".join(f"{each}\n" for each in (TORCH, *peer.requirements))


def _run(peer: Peer, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        end = (done.stderr or done.stdout)[-2000:]
        raise LoadTestError(f"{peer.title} could not be installed: {' '.join(command)}\n{end}")
