"""Both clients over transports that stall, fail or garble. No service."""

import asyncio
import threading

import httpx
import pytest

from encodeonce_client import AsyncClient, Client, ConnectionFailed, Retries

ANSWER = {
    "model": "m",
    "version": "1",
    "predictions": [{"stars": {"value": 1.0}}],
    "usage": {"tokens": 1, "encoder_rows": 1, "cache_hits": 0, "coalesced": 0},
}
PATIENCE_S = 30.0
"""Of what must end by itself: reached in a failure alone."""


class Stalling(httpx.BaseTransport):
    """Answers the first text; the others get a 503 once ``go`` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.stalled = threading.Event()
        self.refused = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if b"first" in request.read():
            return httpx.Response(200, json=ANSWER)
        self.stalled.set()
        self.go.wait(PATIENCE_S)
        self.refused += 1
        return httpx.Response(503)


def test_leaving_early_waits_for_nothing_and_tries_nothing_again() -> None:
    transport = Stalling()
    patient = Retries(attempts=9, base_s=PATIENCE_S, draw=lambda: 1.0)
    with Client("http://service", transport=transport, retries=patient) as client:
        answers = client.predict_many(["first", "second", "third"], batch_size=1, concurrency=2)
        closing = threading.Thread(target=answers.close)  # type: ignore[attr-defined]
        try:
            next(answers)
            assert transport.stalled.wait(PATIENCE_S)
            closing.start()
            closing.join(PATIENCE_S / 2)
            assert not closing.is_alive()
        finally:
            transport.go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("encodeonce"):
            thread.join(PATIENCE_S / 2)
            assert not thread.is_alive()
    assert transport.refused == 1


async def test_calls_under_way_have_ended_once_the_answers_are_left() -> None:
    ended: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        if b"first" in request.content:
            return httpx.Response(200, json=ANSWER)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("second")
        raise AssertionError

    async with AsyncClient("http://service", transport=httpx.MockTransport(answer)) as client:
        answers = client.predict_many(["first", "second"], batch_size=1, concurrency=2)
        await anext(answers)
        await answers.aclose()  # type: ignore[attr-defined]
        assert ended == ["second"]


async def test_an_answer_that_cannot_be_decoded_is_the_clients_own_error() -> None:
    def garbled(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    transport = httpx.MockTransport(garbled)
    with Client("http://service", transport=transport) as client, pytest.raises(ConnectionFailed):
        client.tasks()
    async with AsyncClient("http://service", transport=transport) as async_client:
        with pytest.raises(ConnectionFailed):
            await async_client.tasks()
        assert not await async_client.is_ready()
