"""Folders that a session makes once, also where pytest-xdist runs it in several workers."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
"""``gw0``, ``gw1``, …; None where the session has a single process."""


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that the first caller makes and all others wait for. Read only.

    Args:
        folder: Among those of the session.
        make: Fills it. Called at the place where it stays: runs remember their own paths.
    """
    done = folder.with_name(f"{folder.name}.done")
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of an attempt that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
