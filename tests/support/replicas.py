"""Replicas of the service behind a real proxy: each is changed, killed and restarted while traffic runs."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from tests.support.service_process import (
    ROOT,
    START_LIMIT_S,
    free_port,
    start_service,
    stop,
    wait_until_ready,
)

KEY = "a key for the tests"
REPLICA = "x-replica"
"""The proxy says in it who answered, on its own errors, too."""


@dataclass(kw_only=True)
class Replica:
    """One service, on a port that it keeps when it is restarted."""

    name: str
    folder: Path
    environment: Mapping[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] = field(init=False)
    starts: int = 0

    @property
    def url(self) -> str:
        """Past the proxy."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Of the last start."""
        return self.folder / f"{self.name}-{self.starts}.log"

    def start(self) -> None:
        """Begin to; it is not ready yet."""
        self.starts += 1
        admin = {"ENCODEONCE_ADMIN_KEY": KEY, "ENCODEONCE_ADMIN_PORT": "main"}
        self.process = start_service(self.port, self.log, **admin, **self.environment)

    def wait_until_ready(self) -> None:
        """Return once it may get requests."""
        wait_until_ready(self.process, self.url, self.log)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the admin API."""
        response = httpx.request(
            method,
            f"{self.url}/admin/v1{path}",
            json=body,
            headers={"authorization": f"Bearer {KEY}"},
            timeout=START_LIMIT_S,
        )
        assert response.status_code == 200, response.text
        return response.json()

    def drain(self) -> None:
        """What the preStop hook does."""
        subprocess.run(
            [sys.executable, "-m", "service.admin", "--url", self.url, "drain", "--quiet-s", "1"],
            env={"ENCODEONCE_ADMIN_KEY": KEY},
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=START_LIMIT_S,
        )

    def terminate(self) -> None:
        """SIGTERM, and its end."""
        self.process.terminate()
        self.process.wait(START_LIMIT_S)

    def metric(self, name: str) -> float:
        """The sum of a metric's series."""
        lines = httpx.get(f"{self.url}/metrics", timeout=START_LIMIT_S).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    @property
    def worker(self) -> psutil.Process:
        """The process that answers: the arbiter's child with the service's own command."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        (worker,) = [each for each in children if "_bentoml_impl.worker.service" in " ".join(each.cmdline())]
        return worker


@contextmanager
def replicas(names: Sequence[str], folder: Path, **environment: str) -> Iterator[list[Replica]]:
    """Services of one environment that are ready, started beside each other."""
    each = [Replica(name=name, folder=folder, environment=environment) for name in names]
    with ExitStack() as ends:
        for replica in each:
            replica.start()
            ends.callback(lambda replica=replica: stop(replica.process))
        for replica in each:
            replica.wait_until_ready()
        yield each


CONFIGURATION = """
global
    nbthread 1
defaults
    mode http
    retries 0
    timeout connect 10s
    timeout client 300s
    timeout server 300s
    timeout check 2s
frontend front
    bind 127.0.0.1:{port}
    http-after-response set-header {header} %s
    default_backend replicas
backend replicas
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 200ms fall 2 rise 1
{servers}
"""
"""Readiness decides who gets requests, and a request is sent once: nothing is retried or sent elsewhere."""


@contextmanager
def proxy(behind: Sequence[Replica], folder: Path) -> Iterator[str]:
    """The address of HAProxy in front of replicas."""
    port = free_port()
    servers = "\n".join(f"    server {each.name} 127.0.0.1:{each.port}" for each in behind)
    file = folder / "haproxy.cfg"
    file.write_text(CONFIGURATION.format(port=port, header=REPLICA, servers=servers), encoding="utf-8")
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(["haproxy", "-db", "-f", str(file)], stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(process, url, folder / "haproxy.log")
        yield url
    finally:
        process.kill()
        process.wait()
