"""What an operator does to a running service, on real processes: swap, canary, roll back, kill, drain."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from service.kinds.scores import softmax
from tests.support.bundles import write_version
from tests.support.service_process import (
    ROOT,
    START_LIMIT_S,
    free_port,
    start_service,
    stop,
    wait_until_ready,
)
from tests.support.tiny import WORDS
from tests.support.traffic import Traffic

pytestmark = pytest.mark.integration

HOLD = "TEST_HOLD_FILE"
"""What tests.support.held_service reads. Importing it here would hold this process' encoders, too."""
KEY = "a key for the tests"
TEMPERATURES = {"1": 1.0, "2": 2.0, "3": 4.0}
TEXTS = [f"{first} {second}" for first in WORDS[:6] for second in WORDS[6:12]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A served bundle, seen from outside."""

    process: subprocess.Popen[bytes]
    url: str
    admin_url: str
    log: Path
    bundles: dict[str, Path]

    def admin(self, *command: str) -> Any:
        """``python -m service.admin …``, whose answer is JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "service.admin", *command],
            env=os.environ | {"ENCODEONCE_ADMIN_KEY": KEY, "ENCODEONCE_ADMIN_URL": self.admin_url},
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
            timeout=START_LIMIT_S,
        )
        return json.loads(done.stdout)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The admin API without a process for every call."""
        headers = {"authorization": f"Bearer {KEY}"}
        response = httpx.request(
            method, f"{self.admin_url}/admin/v1{path}", json=body, headers=headers, timeout=START_LIMIT_S
        )
        assert response.status_code == 200, response.text
        return response.json()

    def ask(self, text: str, **options: Any) -> Any:
        body = {"inputs": [text], **options}
        response = httpx.post(f"{self.url}/v1/predict", json=body, timeout=START_LIMIT_S)
        assert response.status_code == 200, response.text
        return response.json()

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics").text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    @property
    def worker(self) -> psutil.Process:
        """The process that answers: the arbiter's child with the service's own command."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        (worker,) = [each for each in children if "_bentoml_impl.worker.service" in " ".join(each.cmdline())]
        return worker


@contextmanager
def served(tiny_bundle: Path, folder: Path, *, target: str = ".", **environment: str) -> Iterator[Service]:
    """Version 1 of three; 2 has the same encoder, 3 by its fingerprint another."""
    bundles = {
        version: write_version(
            tiny_bundle,
            folder,
            version=version,
            temperature=temperature,
            fingerprint="e" * 64 if version == "3" else "",
        )
        for version, temperature in TEMPERATURES.items()
    }
    port, admin_port, log = free_port(), free_port(), folder / "log"
    process = start_service(
        port,
        log,
        target=target,
        ENCODEONCE_BUNDLE=str(bundles["1"]),
        ENCODEONCE_ADMIN_KEY=KEY,
        ENCODEONCE_ADMIN_PORT=str(admin_port),
        ENCODEONCE_THREADS="1",
        **environment,
    )
    service = Service(
        process=process,
        url=f"http://127.0.0.1:{port}",
        admin_url=f"http://127.0.0.1:{admin_port}",
        log=log,
        bundles=bundles,
    )
    try:
        wait_until_ready(process, service.url, log)
        yield service
    finally:
        stop(process)


def wait_for(happened: Callable[[], bool]) -> None:
    """Fails if something broken keeps it from happening."""
    limit_s = time.monotonic() + START_LIMIT_S
    while not happened():
        assert time.monotonic() < limit_s, "it did not happen"
        time.sleep(0.02)


def scores_by_version(service: Service) -> dict[str, dict[str, list[float]]]:
    """What each version must answer about sentiment, from the logits and its temperature alone."""
    expected: dict[str, dict[str, list[float]]] = {version: {} for version in TEMPERATURES}
    for text in TEXTS:
        answer = service.ask(text, tasks=["sentiment"], return_logits=True)
        logits = answer["predictions"][0]["sentiment"]["logits"]
        for version, temperature in TEMPERATURES.items():
            expected[version][text] = softmax(np.array(logits), temperature=temperature).tolist()
    return expected


async def test_no_request_fails_and_each_answer_is_its_versions_while_models_come_and_go(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    with served(tiny_bundle, tmp_path) as service:
        expected = scores_by_version(service)
        computed = service.metric("encodeonce_batch_sequences_sum")
        service.admin("load", str(service.bundles["2"]), "--swap")
        for text in TEXTS:
            service.ask(text, tasks=["sentiment"])
        # The golden examples alone may have been new: the cache was cleared after those of version 1.
        golden = len((tiny_bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines())
        assert service.metric("encodeonce_batch_sequences_sum") - computed <= 2 * golden
        service.admin("rollback", "tiny")

        async with Traffic(url=service.url, texts=TEXTS) as traffic:
            await traffic.after(10)
            await asyncio.to_thread(service.call, "POST", "/models", {"path": str(service.bundles["3"])})
            for number in range(20):
                version = "231"[number % 3]
                await asyncio.to_thread(service.call, "PATCH", "/routes/tiny", {"default": version})
                await traffic.after(10)
            share = {"version": "3", "percent": 50}
            await asyncio.to_thread(service.call, "PATCH", "/routes/tiny", {"default": "1", "canary": share})
            before = dict(traffic.versions())
            await traffic.after(60)
            during = {
                version: count - before.get(version, 0) for version, count in traffic.versions().items()
            }
            assert during["1"] > 0
            assert during["3"] > 0
            shadow = {"version": "2", "percent": 100}
            await asyncio.to_thread(service.call, "PATCH", "/routes/tiny", {"canary": None, "shadow": shadow})
            await traffic.after(20)
            await asyncio.to_thread(service.call, "PATCH", "/routes/tiny", {"default": "2"})
            await traffic.after(10)
            # Its encoder goes, too, and comes again.
            await asyncio.to_thread(service.call, "DELETE", "/models/tiny/3")
            await traffic.after(10)
            await asyncio.to_thread(
                service.call, "POST", "/models", {"path": str(service.bundles["3"]), "swap": True}
            )
            await traffic.after(10)
            await asyncio.to_thread(service.call, "POST", "/routes/tiny/rollback")
            await traffic.after(10)
            assert service.ask(TEXTS[0])["version"] == "2"

        assert not traffic.failures
        assert set(traffic.versions()) == {"1", "2", "3"}
        for text, answer in traffic.answers:
            scores = answer["predictions"][0]["sentiment"]["scores"].values()
            assert list(scores) == pytest.approx(expected[answer["version"]][text], abs=1e-4)
        drift = service.admin("drift", "tiny")["drifts"]
        (seen,) = [each for each in drift if (each["served"], each["shadow"]) == ("1", "2")]
        # Another temperature changes scores and no decision.
        assert seen["tasks"]["sentiment"]["agreement"] == 1.0
        assert seen["tasks"]["sentiment"]["max_distance"] > 0
        assert seen["tasks"]["stars"]["max_distance"] == pytest.approx(0.0, abs=1e-4)

        # BentoML starts another worker, which has what its predecessor had.
        worker = service.worker
        worker.send_signal(signal.SIGKILL)
        wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        wait_until_ready(service.process, service.url, service.log)
        assert service.ask(TEXTS[0])["version"] == "2"
        loaded = service.admin("models")["models"]
        assert [each["version"] for each in loaded] == ["1", "2", "3"]


def test_in_a_container_a_dead_worker_ends_the_process_for_the_orchestrator(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    state = tmp_path / "volume" / "state.json"
    container = {"BENTOML_CONTAINERIZED": "true", "ENCODEONCE_STATE_FILE": str(state)}
    with served(tiny_bundle, tmp_path, **container) as service:
        service.call("POST", "/models", {"path": str(service.bundles["2"]), "swap": True})
        service.worker.send_signal(signal.SIGKILL)
        assert service.process.wait(START_LIMIT_S) == 1
    assert json.loads(state.read_text(encoding="utf-8"))["routes"]["tiny"]["default"] == "2"


def test_clients_that_leave_cost_nothing_and_a_drained_service_ends_in_time(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    entered = hold.with_suffix(".entered")
    environment = {HOLD: str(hold), "ENCODEONCE_DRAIN_S": "2", "PYTHONPATH": str(ROOT)}
    with (
        served(
            tiny_bundle, tmp_path, target="tests.support.held_service:EncodeOnce", **environment
        ) as service,
        ThreadPoolExecutor() as pool,
    ):
        computed = service.metric("encodeonce_batch_sequences_sum")
        hold.touch()
        held = pool.submit(service.ask, "held", tasks=["sentiment"])
        wait_for(entered.exists)
        leaving = [send(service.url, {"inputs": [text], "tasks": ["sentiment"]}) for text in TEXTS[:8]]
        wait_for(lambda: service.metric("encodeonce_queue_sequences") == 8)
        for connection in leaving:
            connection.close()
        wait_for(lambda: service.metric("encodeonce_queue_sequences") == 0)
        hold.unlink()
        assert held.result()["version"] == "1"
        assert service.metric("encodeonce_batch_sequences_sum") - computed == 1

        hold.touch()
        entered.unlink()
        last = pool.submit(service.ask, "the last one", tasks=["sentiment"])
        wait_for(entered.exists)
        assert service.admin("drain", "--quiet-s", "0", "--limit-s", "0")["phase"] == "draining"
        assert httpx.get(f"{service.url}/readyz").status_code == 503
        headers = {"authorization": f"Bearer {KEY}"}
        assert httpx.get(f"{service.url}/admin/v1/status", headers=headers).status_code == 404
        assert httpx.get(f"{service.admin_url}/v1/tasks", headers=headers).status_code == 404
        late = pool.submit(service.ask, "one that did not notice", tasks=["sentiment"])
        wait_for(lambda: service.metric("encodeonce_queue_sequences") == 1)
        endless = send(service.url, {"inputs": ["never complete"]}, withheld=1)
        wait_for(lambda: service.metric("encodeonce_requests_in_flight") == 3)
        service.process.terminate()
        hold.unlink()
        assert last.result()["version"] == late.result()["version"] == "1"
        service.process.wait(START_LIMIT_S)  # the endless one is cut off
        endless.close()
        with pytest.raises(httpx.ConnectError):
            httpx.get(service.admin_url)
    port = service.admin_url.rsplit(":", 1)[1]
    assert f"The admin API listens on 127.0.0.1 port {port}" in service.log.read_text()


def send(url: str, body: Any, *, withheld: int = 0) -> socket.socket:
    """A request on a connection of its own; its last bytes may be withheld, and the answer is not read."""
    address = httpx.URL(url)
    content = json.dumps(body).encode()
    lines = [
        "POST /v1/predict HTTP/1.1",
        "host: test",
        "content-type: application/json",
        f"content-length: {len(content)}",
    ]
    connection = socket.create_connection((address.host, address.port))
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + content[: len(content) - withheld])
    return connection
