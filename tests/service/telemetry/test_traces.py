"""Spans of requests and stages, by OpenTelemetry's own SDK, in memory and to a collector's port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service.lifecycle import Lifecycle
from service.telemetry.traces import Tracing, otlp_processor
from tests.service.http.test_app import client_of
from tests.support.service_fakes import POISON, parts, running

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
STAGES = ["tokenise", "queue", "encode", "head"]


@asynccontextmanager
async def traced(tracing: Tracing) -> AsyncIterator[httpx.AsyncClient]:
    lifecycle = Lifecycle()
    async with running(parts()) as runtime, client_of(lifecycle) as client:
        lifecycle.get_ready(replace(runtime, tracing=tracing))
        yield client
    tracing.close()


@pytest.fixture
async def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def client(spans: InMemorySpanExporter) -> AsyncIterator[httpx.AsyncClient]:
    async with traced(Tracing(SimpleSpanProcessor(spans))) as client:
        yield client


def the_request(spans: InMemorySpanExporter) -> ReadableSpan:
    (request,) = (span for span in spans.get_finished_spans() if span.kind is SpanKind.SERVER)
    return request


async def test_a_request_is_a_span_and_its_stages_are_its_children(
    client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    await client.post("/v1/predict", json={"inputs": ["a"], "tasks": ["intent"]})
    request = the_request(spans)
    stages = [span for span in spans.get_finished_spans() if span is not request]
    assert request.name == "POST /v1/predict"
    assert request.attributes is not None
    assert request.attributes["encodeonce.model"] == "fake"
    assert request.attributes["http.response.status_code"] == 200
    assert [span.name for span in stages] == STAGES
    for span in stages:
        assert span.parent is not None
        assert request.context is not None
        assert span.context is not None
        assert span.parent.span_id == request.context.span_id
        assert span.context.trace_id == request.context.trace_id
        assert span.resource == request.resource
    assert len({span.context.span_id for span in (request, *stages) if span.context}) == 1 + len(STAGES)


async def test_a_request_that_the_sampler_leaves_out_has_no_spans(
    client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    answer = await client.post(
        "/v1/predict", json={"inputs": ["a"]}, headers={"traceparent": f"00-{TRACE}-{CALLER}-00"}
    )
    assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert answer.headers["traceparent"].endswith("-00")
    assert spans.get_finished_spans() == ()


async def test_stages_lie_one_after_the_other_within_the_request(
    client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    await client.post("/v1/predict", json={"inputs": ["a"]})
    request = the_request(spans)
    times = [request.start_time]
    for span in spans.get_finished_spans():
        if span is not request:
            times += [span.start_time, span.end_time]
    times.append(request.end_time)
    assert times == sorted(times, key=lambda time: time or 0)


async def test_the_caller_s_trace_goes_on_and_comes_back(
    client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    answer = await client.get("/livez", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
    request = the_request(spans)
    assert request.context is not None
    assert request.parent is not None
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == CALLER
    assert answer.headers["traceparent"] == f"00-{TRACE}-{request.context.span_id:016x}-01"


@pytest.mark.parametrize("given", ["", "nonsense", f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{CALLER}"])
async def test_a_broken_trace_context_begins_a_new_trace(
    client: httpx.AsyncClient, spans: InMemorySpanExporter, given: str
) -> None:
    answer = await client.get("/livez", headers={"traceparent": given})
    assert answer.status_code == 200
    assert the_request(spans).parent is None


async def test_a_fault_of_ours_is_an_error_and_one_of_the_client_is_not(
    client: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    for text, status in ((POISON, StatusCode.ERROR), ("", StatusCode.UNSET)):
        spans.clear()
        await client.post("/v1/predict", json={"inputs": [text]})
        assert the_request(spans).status.status_code is status


async def test_spans_reach_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(collect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    async with server:
        tracing = Tracing(otlp_processor())
        tracing.begin({}, started_ns=1).span.end()
        await asyncio.to_thread(tracing.close)
        assert (await received.get()).startswith(b"POST /v1/traces HTTP/1.1")
