"""A real ``bentoml serve`` on the loopback interface, ended with everything it started."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    port = free_port()
    variables = {
        "ENCODEONCE_BUNDLE": str(bundle.absolute()),
        "ENCODEONCE_THREADS": str(threads),
        **(environment or {}),
    }
    command = [sys.executable, "-m", "bentoml", "serve", service, "--host", HOST, "--port", str(port)]
    with running(command, port=port, environment=variables, is_ready=is_ready) as server:
        yield server


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    environment: Mapping[str, str],
    is_ready: Callable[[int], bool],
    folder: Path = ROOT,
    name: str = "The service",
    limit_s: float = START_LIMIT_S,
    poll_s: float = POLL_S,
) -> Iterator[Server]:
    """Run a server for the time of the block, and end it with everything it started.

    Args:
        command: The program and its arguments.
        port: It listens on.
        environment: Variables beside those of this process.
        is_ready: Whether what listens on a port answers.
        folder: In which it starts.
        name: For messages.
        limit_s: Seconds that the start may take.
        poll_s: Seconds between two questions.

    Raises:
        LoadTestError: If it ends, or does not get ready in time. Carries the end of its log.
    """
    variables = {**os.environ, "BENTOML_DO_NOT_TRACK": "1", **environment}
    with tempfile.TemporaryFile() as log:
        started_s = time.perf_counter()
        # A session of its own: Ctrl-C reaches the measurement alone, which then ends the service in order.
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while not is_ready(port):
                fault = None
                if process.poll() is not None:
                    fault = f"ended with code {process.returncode} before it was ready"
                elif time.perf_counter() - started_s > limit_s:
                    fault = f"was not ready after {limit_s:.0f} s"
                if fault:
                    log.seek(0)
                    end = log.read().decode(errors="replace")[-3000:]
                    raise LoadTestError(f"{name} {fault}. Its log ends:\n{end}")
                time.sleep(poll_s)
            yield Server(port=port, pid=process.pid, ready_s=time.perf_counter() - started_s)
        finally:
            _end(process)


def is_ready(port: int) -> bool:
    """Whether ``/readyz`` says so."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def family_of(pid: int) -> list[psutil.Process]:
    """A server's processes: what it started, and theirs, also where one in between has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(pid)
        return list({started, *started.children(recursive=True), *_session_of(pid)})
    return _session_of(pid)


def _session_of(pid: int) -> list[psutil.Process]:
    members = []
    for each in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(each.pid) == pid:
                members.append(each)
    return members


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to stop; then kill what is left of it and of the worker, which leads its own group."""
    family = family_of(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_LIMIT_S)
    for member in family:
        # psutil compares start times: a process id that was given to another process is spared.
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.kill()
    process.wait()


def free_port() -> int:
    """One that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
