"""A real ``redis-server`` on a free loopback port, that holds nothing on disk."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.support.service_process import free_port

START_LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class RedisServer:
    """The process, and its port."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        """As the settings name it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "redis.Redis":
        """A client of its own."""
        return redis.Redis(host="127.0.0.1", port=self.port)

    def freeze(self) -> None:
        """It takes connections, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As if its machine were gone."""
        self.process.kill()
        self.process.wait()


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """Started, and ended whatever happened to it."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen([*command, "--dir", str(folder)], stdout=log, stderr=subprocess.STDOUT)
    server = RedisServer(process=process, port=port)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        if process.poll() is None:
            server.thaw()
            server.kill()


def _wait_until_it_answers(server: RedisServer) -> None:
    limit_s = time.monotonic() + START_LIMIT_S
    with server.client() as client:
        while time.monotonic() < limit_s:
            try:
                client.ping()
            except redis.ConnectionError:
                assert server.process.poll() is None, "redis-server ended"
                time.sleep(0.05)
            else:
                return
    raise AssertionError(f"redis-server does not answer after {START_LIMIT_S} s")
