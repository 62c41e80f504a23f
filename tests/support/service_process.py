"""A real ``bentoml serve`` process on a free loopback port."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from tests.support.once import WORKER

ROOT = Path(__file__).parents[2]
BENTOML = str(Path(sys.executable).with_name("bentoml"))

MAX_WORKERS = 4
"""Of pytest-xdist, as the Makefile has it."""
WORKER_NUMBER = int((WORKER or "gw0").removeprefix("gw"))

START_LIMIT_S = 120.0
"""Far beyond what it takes: the machine may be busy."""


def free_port() -> int:
    """A port of the loopback that nobody listens on just now, and no other worker of the session takes."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        # Linux gives odd ports alone while there are any, so the last bit tells no workers apart.
        if (port >> 1) % MAX_WORKERS == WORKER_NUMBER % MAX_WORKERS:
            return port


def start_service(
    port: int, log: Path, *, target: str = ".", folder: Path = ROOT, **environment: str
) -> subprocess.Popen[bytes]:
    """``bentoml serve TARGET`` in a folder, with further environment variables."""
    command = [BENTOML, "serve", target, "--host", "127.0.0.1"]
    with log.open("wb") as output:
        return subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=folder,
            env={**os.environ, "BENTOML_DO_NOT_TRACK": "1", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return once ``/readyz`` answers 200.

    Raises:
        AssertionError: With the log, if the process ends or takes too long.
    """
    limit_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit_s:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/readyz", timeout=1.0).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"not ready after {START_LIMIT_S} s: {log.read_text()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process, and its workers if it does not."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.send_signal(signal.SIGKILL)
        process.kill()
        process.wait()
