import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.errors import LoadTestError
from loadtests.open_loop import Arrivals, OpenLoopRun, OpenRequest, run_open_loop
from loadtests.open_loop_sender import is_complete
from loadtests.ratios import quantile

TEXTS = [f"text {number}" for number in range(400)]
FAST = Arrivals(rate_per_s=400, duration_s=0.5, seed=1)


def build(texts: Sequence[str]) -> OpenRequest:
    return OpenRequest(path="/predict", body=json.dumps(texts).encode())


def answer(body: bytes, status: int = 200, header: str = "") -> bytes:
    return f"HTTP/1.1 {status} Any\r\nContent-Length: {len(body)}\r\n{header}\r\n".encode() + body


Respond: TypeAlias = Callable[[bytes], bytes | Awaitable[bytes]]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


class Server:
    """A real listener: keeps every body, and answers as it is told. An empty answer ends the connection."""

    def __init__(self, respond: Respond) -> None:
        self.bodies: list[bytes] = []
        self.connections = 0
        self._respond = respond

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                response = self._respond(self.bodies[-1])
                if not isinstance(response, bytes):
                    response = await response
                writer.write(response)
                await writer.drain()
                if not response or b"close" in response:
                    break
        except asyncio.IncompleteReadError:
            pass
        writer.close()


@contextmanager
def listening(respond: Respond) -> Iterator[tuple[Server, str]]:
    server = Server(respond)
    loop = asyncio.new_event_loop()
    listener = loop.run_until_complete(asyncio.start_server(server.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:

        async def end() -> None:
            listener.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def run(url: str, arrivals: Arrivals = FAST, grace_s: float = 30.0) -> OpenLoopRun:
    return run_open_loop(url, TEXTS, arrivals=arrivals, build=build, grace_s=grace_s)


@given(st.floats(20, 500), st.integers(0, 2**32))
def test_arrivals_are_a_poisson_process_of_the_rate(rate_per_s: float, seed: int) -> None:
    times = Arrivals(rate_per_s=rate_per_s, duration_s=2000 / rate_per_s, seed=seed).times_s()
    assert times == sorted(times)
    gaps = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    # Six standard deviations of the mean, and of the mean square, of 2000 exponential gaps.
    assert fmean(gaps) * rate_per_s == pytest.approx(1, abs=6 / 2000**0.5)
    assert fmean(gap**2 for gap in gaps) * rate_per_s**2 == pytest.approx(2, abs=6 * (20 / 2000) ** 0.5)


def test_arrivals_are_those_of_the_seed() -> None:
    assert FAST.times_s() == FAST.times_s()
    assert FAST.times_s() != Arrivals(rate_per_s=400, duration_s=0.5, seed=2).times_s()


@pytest.mark.parametrize("response", [answer(b"ok"), CHUNKED], ids=["length", "chunked"])
def test_every_text_is_sent_once_and_its_time_is_kept(response: bytes) -> None:
    arrivals = Arrivals(rate_per_s=200, duration_s=0.5, texts_per_request=3, seed=3)
    with listening(lambda _: response) as (server, url):
        done = run(url, arrivals)
    sent = sorted(text for body in server.bodies for text in json.loads(body))
    assert sent == sorted(TEXTS[: arrivals.num_texts])
    assert [each.intended_s for each in done.outcomes] == arrivals.times_s()
    assert len(done.answered()) == len(done.outcomes) == len(server.bodies)
    assert all(each.intended_s <= each.sent_s <= each.finished_s for each in done.outcomes)
    assert server.connections < len(done.outcomes), "connections are kept"
    assert 0 < done.sender_cpu_s < done.sender_wall_s
    answered_in_all = done.texts_per_s(until_s=done.sender_wall_s) * done.sender_wall_s
    assert answered_in_all == pytest.approx(arrivals.num_texts)


def test_requests_do_not_wait_for_answers() -> None:
    arrivals = Arrivals(rate_per_s=400, duration_s=0.2, seed=4)
    asked: list[bytes] = []
    last = asyncio.Event()

    async def hold(body: bytes) -> bytes:
        asked.append(body)
        if len(asked) == len(arrivals.times_s()):
            last.set()
        await last.wait()
        return answer(b"ok")

    with listening(hold) as (server, url):
        done = run(url, arrivals)
    assert len(done.answered()) == server.connections == len(asked)


def test_refusals_are_told_from_answers_with_the_first_of_their_bodies() -> None:
    with listening(lambda body: answer(b"full", 429) if b"7" in body else answer(b"ok")) as (_, url):
        done = run(url)
    refused = sum("7" in text for text in TEXTS[: FAST.num_texts])
    assert len(done.answered(429)) == refused
    assert len(done.answered()) == FAST.num_texts - refused
    assert done.failures == {"429": "full"}
    with pytest.raises(LoadTestError, match="full"):
        OpenLoopRun(
            arrivals=FAST, outcomes=(), sender_cpu_s=0, sender_wall_s=1, started_s=0, failures=done.failures
        ).latency_s(0.5)


@pytest.mark.parametrize("response", [b"", answer(b"ok", header="Connection: close\r\n")])
def test_a_connection_that_ends_costs_its_own_request_alone(response: bytes) -> None:
    with listening(lambda body: response if b"7" in body else answer(b"ok")) as (_, url):
        done = run(url)
    ended = sum("7" in text for text in TEXTS[: FAST.num_texts])
    assert len(done.answered(None)) == (0 if response else ended)
    assert len(done.answered()) == FAST.num_texts - len(done.answered(None))


def test_a_server_that_never_answers_is_given_up() -> None:
    with listening(lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n1234") as (_, url):
        done = run(url, grace_s=0.1)
    assert len(done.answered(None)) == len(done.outcomes)
    assert all(each.finished_s > FAST.times_s()[-1] for each in done.outcomes)


def test_a_port_without_a_server_is_no_answer() -> None:
    with listening(lambda _: b"") as (_, url):
        pass
    assert len(run(url).answered(None)) == FAST.num_texts


def test_too_few_texts_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(LoadTestError, match="there are 3"):
        run_open_loop("http://127.0.0.1:1", TEXTS[:3], arrivals=FAST, build=build)


@given(st.binary(max_size=40), st.integers(1, 60))
def test_an_answer_is_complete_with_its_last_byte(body: bytes, cut: int) -> None:
    whole = bytearray(answer(body))
    assert is_complete(whole)
    assert not is_complete(whole[:-cut])


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.001, 1))
def test_a_quantile_is_the_first_value_with_so_many_at_most_as_large(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)
