"""NDJSON over ASGI: order, problems in place, back-pressure, disconnects."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from service.http.ndjson.lines import Line
from service.http.ndjson.stream import WINDOW_LINES, WINDOWS_IN_FLIGHT, NdjsonStream
from tests.service.http.test_app import assert_problem, serving
from tests.support.service_fakes import PATIENCE_S, POISON, FakeEncoderSession, tasks_of_every_kind

NDJSON = {"content-type": "application/x-ndjson"}


def body_of(*lines: Any) -> bytes:
    return b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )


async def stream(client: httpx.AsyncClient, path: str, body: bytes, **headers: str) -> list[dict[str, Any]]:
    """The lines, the summary last."""
    response = await client.post(path, content=body, headers=NDJSON | headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


async def test_lines_are_answered_in_order_as_json_is() -> None:
    inputs: list[Any] = [f"text number {n}" for n in range(3 * WINDOW_LINES)]
    inputs[7] = {"text": "late", "text_pair": "too late"}
    async with serving(tasks=tasks_of_every_kind(), max_inputs=1000) as (client, _):
        *lines, last = await stream(client, "/v1/predict", body_of(*inputs))
        expected = (await client.post("/v1/predict", json={"inputs": inputs})).json()
    assert [line["line"] for line in lines] == list(range(1, len(inputs) + 1))
    assert {line["version"] for line in lines} == {"1.2.3"}
    assert [line["prediction"] for line in lines] == expected["predictions"]
    assert (last["summary"]["lines"], last["summary"]["failed"]) == (len(inputs), 0)
    assert last["summary"]["usage"]["tokens"] == expected["usage"]["tokens"]


async def test_one_task_answers_without_a_table_and_heeds_the_options_of_the_query() -> None:
    async with serving() as (client, _):
        path = "/v1/tasks/intent/predict?return_scores=false&return_logits=true"
        line, _summary = await stream(client, path, body_of("red shoe"))
        assert set(line["prediction"]) == {"label", "score", "logits"}
        line, _summary = await stream(client, "/v1/predict?tasks=intent,urgency&top_k=1", body_of("red shoe"))
        assert set(line["prediction"]) == {"intent", "urgency"}
        assert len(line["prediction"]["intent"]["scores"]) == 1


FAULTS = [
    (b"{", 400, []),
    (b'"\xff"', 400, []),
    (b'"\\ud800"', 400, []),
    (b"NaN", 400, []),
    (b"[" * 1500, 400, []),
    (b'"a", "b"', 400, []),
    (b"1", 422, ["line"]),
    (b'{"txt": "a"}', 422, ["txt"]),
    (b'{"text": " "}', 422, ["text"]),
    (b'{"query": "a", "documents": ["b"]}', 422, ["line"]),
    (b'{"query": "a", "documents": []}', 422, ["documents"]),
    (b'"' + b"a" * 3000 + b'"', 413, []),
    (f'"{POISON}"'.encode(), 500, []),
]


async def test_a_bad_line_is_a_problem_in_its_place_and_harms_no_other() -> None:
    lines: list[bytes] = []
    for fault, _, _ in FAULTS:
        lines += [b'"where is my parcel"', fault, b""]
    async with serving(max_body_bytes=2000) as (client, _):
        *answers, last = await stream(client, "/v1/predict", body_of(*lines))
    assert [each["line"] for each in answers[::2]] == [3 * place + 1 for place in range(len(FAULTS))]
    assert {json.dumps(each["prediction"]) for each in answers[::2]} == {json.dumps(answers[0]["prediction"])}
    for place, (answer, (_, status, fields)) in enumerate(zip(answers[1::2], FAULTS, strict=True)):
        assert answer["line"] == 3 * place + 2
        assert answer["problem"]["status"] == status, answer
        assert [each["field"] for each in answer["problem"].get("errors", [])] == fields, answer
    assert (last["summary"]["lines"], last["summary"]["failed"]) == (2 * len(FAULTS), len(FAULTS))


async def test_the_lines_beside_one_that_fits_no_task_are_encoded_together() -> None:
    encoder = FakeEncoderSession()
    lines: list[Any] = [f"text {number}" for number in range(WINDOW_LINES)]
    lines[5] = {"question": "where", "context": "here"}
    async with serving(encoder, max_requests=1) as (client, _):
        *answers, last = await stream(client, "/v1/predict", body_of(*lines))
    assert [each["line"] for each in answers if "problem" in each] == [6]
    assert last["summary"]["failed"] == 1
    assert encoder.rows_encoded == WINDOW_LINES - 1
    assert len(encoder.batches) <= 2


async def test_a_request_that_is_at_fault_as_a_whole_is_no_stream() -> None:
    async with serving() as (client, _):
        for path, headers, status in (
            ("/v1/predict?tasks=nope", {}, 404),
            ("/v1/tasks/nope/predict", {}, 404),
            ("/v1/predict?top_k=0", {}, 422),
            ("/v1/predict?top_k=1025", {}, 422),
            ("/v1/predict?topk=1", {}, 422),
            ("/v1/predict?tasks=,", {}, 422),
            ("/v1/tasks/intent/predict?tasks=urgency", {}, 422),
            ("/v1/tasks/intent/predict?tasks=intent", {}, 422),
            ("/v1/predict", {"x-request-timeout-ms": "soon"}, 422),
            ("/v1/predict", {"content-encoding": "gzip"}, 415),
        ):
            assert_problem(await client.post(path, content=b"", headers=NDJSON | headers), status)


async def test_options_of_a_stream_are_no_options_of_a_json_body() -> None:
    async with serving() as (client, _):
        for path in ("/v1/predict", "/v1/tasks/intent/predict"):
            response = await client.post(f"{path}?top_k=1&other=2", json={"inputs": ["a"]})
            assert [each.field for each in assert_problem(response, 422).errors] == ["top_k"]


async def test_an_empty_stream_has_a_summary_alone() -> None:
    async with serving() as (client, _):
        (last,) = await stream(client, "/v1/predict", b"\n\n")
    assert last["summary"]["lines"] == 0


async def test_a_stream_waits_for_room_in_the_queue() -> None:
    texts = [f"a b c d e f {n}" for n in range(4 * WINDOW_LINES)]
    async with serving(queue_tokens=10 * WINDOW_LINES) as (client, _):
        # All at once would not fit.
        assert_problem(await client.post("/v1/predict", json={"inputs": texts}), 413)
        *lines, _last = await stream(client, "/v1/predict", body_of(*texts))
    assert len(lines) == len(texts)
    assert all("prediction" in line for line in lines), [line for line in lines if "problem" in line][:1]


async def test_a_deadline_is_for_each_window_and_ends_its_lines_alone() -> None:
    encoder = FakeEncoderSession()
    async with serving(encoder) as (client, _):
        encoder.gate.clear()
        path, headers = "/v1/predict", {"x-request-timeout-ms": "20"}
        *lines, last = await stream(client, path, body_of("a", "b"), **headers)
        encoder.gate.set()
    assert [line["problem"]["status"] for line in lines] == [504, 504]
    assert last["summary"]["failed"] == 2


class Conversation:
    """One request, driven message by message."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        transport = client._transport
        assert isinstance(transport, httpx.ASGITransport)
        self._app = transport.app
        self._incoming: asyncio.Queue[Any] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self.num_read = 0
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.task = asyncio.create_task(self._serve())

    def say(self, body: bytes, *, is_last: bool = False) -> None:
        self._incoming.put_nowait({"type": "http.request", "body": body, "more_body": not is_last})

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def hear(self) -> Any:
        return await asyncio.wait_for(self.outgoing.get(), PATIENCE_S)

    async def _serve(self) -> None:
        scope = {
            "type": "http", "method": "POST", "path": "/v1/predict", "raw_path": b"/v1/predict",
            "query_string": b"tasks=intent", "headers": [(b"content-type", b"application/x-ndjson")],
            "http_version": "1.1", "scheme": "http", "root_path": "", "server": ("test", 80),
            "client": ("test", 1),
        }  # fmt: skip
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Any:
        message = await self._incoming.get()
        self.num_read += 1
        return message

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            await self.may_send.wait()
        self.outgoing.put_nowait(message)


@asynccontextmanager
async def conversation(client: httpx.AsyncClient) -> AsyncIterator[Conversation]:
    talk = Conversation(client)
    try:
        yield talk
    finally:
        talk.may_send.set()
        talk.leave()
        await asyncio.wait_for(talk.task, PATIENCE_S)


async def test_a_line_is_answered_before_the_next_one_is_sent() -> None:
    async with serving() as (client, _), conversation(client) as talk:
        talk.say(body_of("one"))
        assert (await talk.hear())["status"] == 200
        for number, text in enumerate(("two", "three"), 1):
            assert json.loads((await talk.hear())["body"])["line"] == number
            talk.say(body_of(text))
        assert json.loads((await talk.hear())["body"])["line"] == 3
        talk.say(b"", is_last=True)
        assert "summary" in json.loads((await talk.hear())["body"])


async def test_a_client_that_does_not_read_is_not_read_beyond_the_buffer() -> None:
    chunk = body_of(*[f"word{n}" for n in range(WINDOW_LINES)])
    async with serving(max_body_bytes=20_000) as (client, runtime), conversation(client) as talk:
        talk.may_send.clear()
        for _ in range(500):
            talk.say(chunk)
        assert (await talk.hear())["status"] == 200
        await settled(lambda: talk.num_read)
        # What waits, what is in flight, and the chunk that waits for room.
        per_chunk = 100 * WINDOW_LINES + len(chunk)
        assert talk.num_read <= WINDOWS_IN_FLIGHT + 20_000 // per_chunk + 3
        assert runtime.batcher.queue_len == 0
        talk.may_send.set()
        for _ in range(500):
            await talk.hear()
        assert talk.num_read == 500


async def settled(read: Any) -> None:
    """Return once many turns of the loop, and the threads' work, change nothing any more."""
    for _ in range(200):
        before = read()
        for _ in range(50):
            await asyncio.sleep(0.001)
        if read() == before:
            return
    raise AssertionError("it does not settle")


async def test_a_client_that_leaves_takes_its_lines_out_of_the_queue() -> None:
    encoder = FakeEncoderSession()
    async with serving(encoder) as (client, runtime):
        encoder.gate.clear()
        held = asyncio.create_task(client.post("/v1/predict", json={"inputs": ["held"]}))
        await asyncio.to_thread(encoder.entered.wait, PATIENCE_S)
        async with conversation(client) as talk:
            talk.say(body_of(*map(str, range(10))))
            await talk.hear()
            await settled(lambda: runtime.batcher.queue_len)
            assert runtime.batcher.queue_len == 10
        assert runtime.batcher.queue_len == 0
        encoder.gate.set()
        assert (await held).status_code == 200
    assert encoder.rows_encoded == 1


@pytest.mark.parametrize("sizes", [(1,), (7, 3), (10_000,)])
async def test_answers_do_not_depend_on_chunks(sizes: Sequence[int]) -> None:
    body = body_of(*[f"text {n}" for n in range(30)])

    async def chunks() -> AsyncIterator[bytes]:
        start = 0
        while start < len(body):
            for size in sizes:
                yield body[start : start + size]
                start += size

    async with serving() as (client, _):
        response = await client.post("/v1/predict", content=chunks(), headers=NDJSON)
        whole = await client.post("/v1/predict", content=body, headers=NDJSON)
    assert response.text.splitlines()[:-1] == whole.text.splitlines()[:-1]
    assert len(response.text.splitlines()) == 31


IMPATIENT_S = 0.01


class Client:
    """Both ends of a stream, without a service behind it."""

    def __init__(self, *bodies: bytes, at_once: int = 1) -> None:
        """Send so many chunks at once, and after that one for each answer."""
        self._bodies = list(bodies)
        self._turns = asyncio.Semaphore(at_once)
        self.heard: list[bytes] = []
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def receive(self) -> Any:
        await self._turns.acquire()
        if not self._bodies:
            await asyncio.Event().wait()  # it stays
        body = self._bodies.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self._bodies)}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            await self.may_read.wait()
            self.heard.append(message["body"])
            self._turns.release()

    async def talk(self, answer: Any) -> list[bytes]:
        """What is heard until the stream ends."""
        answering = NdjsonStream(
            answer, last_line=lambda: b"end", max_line_bytes=100, max_bytes=1000, patience_s=IMPATIENT_S
        )
        async with asyncio.timeout(PATIENCE_S):
            await answering({}, self.receive, self.send)
        return self.heard


async def echo(lines: Sequence[Line]) -> bytes:
    return b" ".join(line.content or b"" for line in lines)


async def test_a_client_that_waits_for_its_answers_is_waited_for() -> None:
    async def slowly(lines: Sequence[Line]) -> bytes:
        await asyncio.sleep(5 * IMPATIENT_S)
        return await echo(lines)

    assert await Client(b"one\n", b"two\n", b"three").talk(slowly) == [b"one", b"two", b"three", b"end"]


async def test_a_client_that_never_sends_or_no_longer_sends_or_reads_is_left() -> None:
    assert await Client(b"one\n", at_once=0).talk(echo) == []
    assert await Client(b"one\n", b"half a li", b"ne", at_once=1).talk(echo) == [b"one"]
    deaf = Client(b"one\n", b"two\n", at_once=2)
    deaf.may_read.clear()
    assert await deaf.talk(echo) == []


async def test_a_window_that_fails_as_the_next_chunk_comes_ends_the_stream() -> None:
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    failing: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def receive() -> Any:
        return {"type": "http.request", "body": await chunks.get(), "more_body": True}

    async def send(_message: Any) -> None:
        """It takes anything."""

    async def fail(_lines: Sequence[Line]) -> bytes:
        return await failing

    answering = NdjsonStream(
        fail, last_line=lambda: b"end", max_line_bytes=100, max_bytes=1000, patience_s=PATIENCE_S
    )
    serving_it = asyncio.create_task(answering({}, receive, send))
    chunks.put_nowait(b"one\n")
    await settled(chunks.qsize)
    failing.set_exception(RuntimeError("broken"))
    for _ in range(100):
        chunks.put_nowait(b"more\n" * 20)
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(serving_it, PATIENCE_S / 2)
