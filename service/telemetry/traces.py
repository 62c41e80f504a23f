"""A span for each request, and one for each of its stages, by OpenTelemetry.

The caller's trace goes on here (``traceparent``), and every answer names its own span in the same header, so
that a caller without tracing can find it. Spans are exported by the SDK's batch processor, in a thread of its
own; a collector that is slow or away costs spans, not requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.telemetry.finished import FinishedRequest

TRACEPARENT = "traceparent"
CONTEXT_HEADERS = (TRACEPARENT, "tracestate")
FIRST_SERVER_FAULT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSpan:
    """The span of a request under way."""

    span: Span
    started_ns: int
    tracing: "Tracing"

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says of it."""
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self.span))
        return {TRACEPARENT: carrier[TRACEPARENT]}

    def finish(self, request: FinishedRequest) -> None:
        """Add the stages and end.

        Stages lie end to end from the request's start, as long as they took: what stands between them is
        the parsing before and the answer after.
        """
        if not isinstance(self.span, ReadableSpan):
            return  # the sampler left it out, and its stages with it
        self.span.update_name(f"{request.method} {request.route}")
        self.span.set_attributes(request.facts())
        if request.status >= FIRST_SERVER_FAULT:
            self.span.set_status(Status(StatusCode.ERROR))
        begun_ns = self.started_ns
        for stage, seconds in request.times.by_stage().items():
            if seconds > 0:
                ended_ns = begun_ns + round(1e9 * seconds)
                self.tracing.saw_stage(stage, self.span, started_ns=begun_ns, ended_ns=ended_ns)
                begun_ns = ended_ns
        self.span.end(self.started_ns + round(1e9 * request.seconds))


class Tracing:
    """Begins the requests' spans."""

    def __init__(self, processor: SpanProcessor) -> None:
        """Hand ended spans to a processor.

        Args:
            processor: Of the SDK; ``otlp_processor`` makes the usual one.
        """
        # A provider of our own, not the process-wide one: BentoML sets that, and samples by its own rules.
        # OTEL_TRACES_SAMPLER and OTEL_RESOURCE_ATTRIBUTES hold here too.
        self._provider = TracerProvider(resource=Resource.create({"service.name": "encodeonce"}))
        self._provider.add_span_processor(processor)
        self._processor = processor
        self._tracer = self._provider.get_tracer("encodeonce")

    def begin(self, headers: Mapping[str, str], *, started_ns: int) -> RequestSpan:
        """The span of a request that just came.

        Args:
            headers: Of the request.
            started_ns: Nanoseconds since the epoch.
        """
        carrier = {name: headers[name] for name in CONTEXT_HEADERS if name in headers}
        parent = TraceContextTextMapPropagator().extract(carrier)
        span = self._tracer.start_span("request", context=parent, kind=SpanKind.SERVER, start_time=started_ns)
        return RequestSpan(span=span, started_ns=started_ns, tracing=self)

    def saw_stage(self, name: str, of: ReadableSpan, *, started_ns: int, ended_ns: int) -> None:
        """Hand on the span of a stage, which is over when it is first heard of.

        Made at its end, it costs a fraction of a span that the tracer starts: no sampler is asked again, and
        it has none of the locks and lists of a span that may still grow. Nobody is told of its start.

        Args:
            name: Of the stage.
            of: The request's span.
            started_ns: Nanoseconds since the epoch.
            ended_ns: Likewise.
        """
        parent = of.get_span_context()
        assert parent is not None, "a span that was started has one"  # noqa: S101
        context = SpanContext(
            parent.trace_id,
            self._provider.id_generator.generate_span_id(),
            is_remote=False,
            trace_flags=parent.trace_flags,
            trace_state=parent.trace_state,
        )
        span = ReadableSpan(
            name,
            context,
            parent,
            of.resource,
            instrumentation_scope=of.instrumentation_scope,
            start_time=started_ns,
            end_time=ended_ns,
        )
        self._processor.on_end(span)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def otlp_processor() -> SpanProcessor:
    """Batches to the collector that ``OTEL_EXPORTER_OTLP_ENDPOINT`` names, by OTLP over HTTP."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())
