"""A real ``bentoml serve`` on the loopback interface, ended with everything it started."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadtests.errors import LoadTestError

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent
START_LIMIT_S = 120.0
STOP_LIMIT_S = 15.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A service that is ready."""

    port: int
    pid: int
    """Of the process that was started; the service is one of its children."""
    ready_s: float
    """From the start of the process to the first 200 of ``/readyz``."""

    def connect(self, *, timeout_s: float = 120.0) -> http.client.HTTPConnection:
        """A connection that is opened with the first request."""
        return http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"


@contextlib.contextmanager
def serve(
    bundle: Path, *, threads: int, environment: Mapping[str, str] | None = None, service: str = "."
) -> Iterator[Server]:
    """Serve a bundle for the time of the block.

    Args:
        bundle: Folder to serve.
        threads: Encoder threads.
        environment: Further variables, such as ``ENCODEONCE_*`` settings.
        service: What ``bentoml serve`` takes; the repository's own service by default.

    Raises:
        LoadTestError: If the service ends, or does not get ready in time. Carries the end of its log.
    """
    port = _free_port()
    variables = {
        **os.environ,
        "BENTOML_DO_NOT_TRACK": "1",
        "ENCODEONCE_BUNDLE": str(bundle.absolute()),
        "ENCODEONCE_THREADS": str(threads),
        **(environment or {}),
    }
    command = [sys.executable, "-m", "bentoml", "serve", service, "--host", HOST, "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        started_s = time.perf_counter()
        # A session of its own: Ctrl-C reaches the measurement alone, which then ends the service in order.
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while not _is_ready(port):
                fault = None
                if process.poll() is not None:
                    fault = f"ended with code {process.returncode} before it was ready"
                elif time.perf_counter() - started_s > START_LIMIT_S:
                    fault = f"was not ready after {START_LIMIT_S:.0f} s"
                if fault:
                    log.seek(0)
                    raise LoadTestError(f"The service {fault}. Its log ends:\n{log.read().decode()[-3000:]}")
                time.sleep(POLL_S)
            yield Server(port=port, pid=process.pid, ready_s=time.perf_counter() - started_s)
        finally:
            _end(process)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to stop; then kill what is left of it and of the worker, which leads its own group."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_LIMIT_S)
        for member in family:
            # psutil compares start times: a process id that was given to another process is spared.
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
    process.kill()
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
