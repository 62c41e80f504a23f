"""Everything that can happen to two replicas, one after the other, while traffic runs through their proxy."""

import asyncio
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.kinds.scores import softmax
from tests.support.bundles import write_version
from tests.support.redis_process import RedisServer, redis_server
from tests.support.replicas import REPLICA, Replica, proxy, replicas
from tests.support.service_process import START_LIMIT_S
from tests.support.tiny import WORDS
from tests.support.traffic import Failure, Traffic

pytestmark = pytest.mark.integration

TEMPERATURES = {"1": 1.0, "2": 2.0, "3": 4.0}
TASK = "sentiment"
TEXTS = [f"{first} {second}" for first in WORDS[:8] for second in WORDS[8:16]]
CLIENTS = 4
FEW_BYTES = "4000"
"""Of the own cache of vectors, with none of answers: most texts have left it when they come again, and are
looked for in Redis."""


def answers_by_version(replica: Replica) -> dict[str, dict[str, list[float]]]:
    """What each version must answer, from the logits and its temperature alone."""
    expected: dict[str, dict[str, list[float]]] = {version: {} for version in TEMPERATURES}
    body = {"inputs": TEXTS, "tasks": [TASK], "return_logits": True}
    answer = httpx.post(f"{replica.url}/v1/predict", json=body, timeout=START_LIMIT_S).json()
    for text, prediction in zip(TEXTS, answer["predictions"], strict=True):
        logits = np.array(prediction[TASK]["logits"])
        for version, temperature in TEMPERATURES.items():
            expected[version][text] = softmax(logits, temperature=temperature).tolist()
    return expected


async def on_each(services: list[Replica], method: str, path: str, body: Any = None) -> None:
    """The operator's call, to one replica after the other."""
    for service in services:
        await asyncio.to_thread(service.admin, method, path, body)


async def swap_canary_and_roll_back(
    services: list[Replica], bundles: dict[str, Path], traffic: Traffic
) -> None:
    for version in ("2", "3"):
        await on_each(services, "POST", "/models", {"path": str(bundles[version])})
    for number in range(20):
        await on_each(services, "PATCH", "/routes/tiny", {"default": "231"[number % 3]})
        await traffic.after(2 * CLIENTS)
    share = {"version": "3", "percent": 50}
    await on_each(services, "PATCH", "/routes/tiny", {"default": "1", "canary": share})
    before = dict(traffic.versions())
    await traffic.after(60)
    assert {version for version, count in traffic.versions().items() if count > before[version]} >= {"1", "3"}
    await on_each(services, "POST", "/routes/tiny/rollback")


async def lose_redis(services: list[Replica], redis: RedisServer, traffic: Traffic) -> None:
    await traffic.after(2 * len(TEXTS))
    assert all(service.metric('encodeonce_tier_reads_total{outcome="hit"}') for service in services)
    redis.freeze()
    await until_gone(services, traffic, is_gone=True)
    redis.thaw()
    await until_gone(services, traffic, is_gone=False)
    redis.kill()
    await until_gone(services, traffic, is_gone=True)
    await traffic.after(len(TEXTS))


async def until_gone(services: list[Replica], traffic: Traffic, *, is_gone: bool) -> None:
    """Ask on until every replica leaves the server alone, or none does."""
    async with asyncio.timeout(START_LIMIT_S):
        while any(bool(service.metric("encodeonce_tier_gone")) is not is_gone for service in services):
            await traffic.after(CLIENTS)


async def kill_worker(service: Replica, traffic: Traffic) -> float:
    """SIGKILL; BentoML starts another. Returns when the killed one was gone, on the monotonic clock."""
    worker, (before,) = service.worker, routes(service)
    worker.send_signal(signal.SIGKILL)
    await asyncio.to_thread(worker.wait, START_LIMIT_S)
    gone_s = time.monotonic()
    await asyncio.to_thread(service.wait_until_ready)
    assert routes(service) == [before]
    await traffic.after_from(service.name, 2 * CLIENTS)
    return gone_s


def routes(service: Replica) -> list[Any]:
    found: list[Any] = service.admin("GET", "/models")["routes"]
    return found


async def restart_one_after_the_other(services: list[Replica], traffic: Traffic) -> None:
    for service in services:
        await asyncio.to_thread(service.drain)
        drained = traffic.answered_by[service.name]
        await asyncio.to_thread(service.terminate)
        assert traffic.answered_by[service.name] == drained
        service.start()
        await asyncio.to_thread(service.wait_until_ready)
        await traffic.after_from(service.name, 2 * CLIENTS)


def was_open(failure: Failure, *, killed: Replica, gone_s: float) -> bool:
    """Whether a failed request was on a connection of the killed worker."""
    return failure.headers.get(REPLICA) == killed.name and failure.sent_s < gone_s


async def test_two_replicas_fail_no_request_but_those_of_a_killed_worker_and_answer_as_their_versions(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    bundles = {
        version: write_version(
            tiny_bundle,
            tmp_path,
            version=version,
            temperature=temperature,
            fingerprint="e" * 64 if version == "3" else "",
        )
        for version, temperature in TEMPERATURES.items()
    }
    environment = {
        "ENCODEONCE_BUNDLE": str(bundles["1"]),
        "ENCODEONCE_THREADS": "1",
        "ENCODEONCE_POOLED_CACHE_BYTES": FEW_BYTES,
        "ENCODEONCE_ANSWER_CACHE_BYTES": "0",
    }
    with ExitStack() as running:
        redis = running.enter_context(redis_server(tmp_path))
        environment["ENCODEONCE_REDIS_URL"] = redis.url
        services = running.enter_context(replicas(["a", "b"], tmp_path, **environment))
        url = running.enter_context(proxy(services, tmp_path))
        expected = answers_by_version(services[0])
        traffic = Traffic(
            url=url,
            texts=TEXTS,
            clients=CLIENTS,
            options={"tasks": [TASK]},
            forgiven=CLIENTS,
            counted_header=REPLICA,
            # On a connection that was used before HAProxy passes a server's end on without a word, and so
            # without saying whose it was.
            keeps_connections=False,
        )
        async with traffic:
            await swap_canary_and_roll_back(services, bundles, traffic)
            await lose_redis(services, redis, traffic)
            assert not traffic.failures
            gone_s = await kill_worker(services[1], traffic)
            await restart_one_after_the_other(services, traffic)

    unexplained = [each for each in traffic.failures if not was_open(each, killed=services[1], gone_s=gone_s)]
    assert not unexplained, unexplained
    assert len(traffic.failures) <= CLIENTS  # as many as can be under way
    assert set(traffic.versions()) == set(TEMPERATURES)
    for text, answer in traffic.answers:
        scores = list(answer["predictions"][0][TASK]["scores"].values())
        assert scores == pytest.approx(expected[answer["version"]][text], abs=1e-4)
