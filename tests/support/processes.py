"""Real processes that are watched and killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300
"""Bound of a wait that ends by itself within seconds; reached only when something is broken."""


def start(arguments: Sequence[str | Path]) -> subprocess.Popen[str]:
    """``python -m …`` in the repository, with one thread."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "BENTOML_DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def kill_when(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    """SIGKILL as soon as something has happened. Fails if the process ends before."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, "nothing happened"
        try:
            process.wait(timeout=0.002)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"ended before it could be killed: {process.communicate()}")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
