"""What one request carries along, and the outermost layer that puts it on every answer.

Whatever happens inside, what leaves has an ``x-request-id``, the stages' times, and a problem document if
it is an error. The layer is plain ASGI: Starlette's ``BaseHTTPMiddleware`` costs a task and a stream per
request.
"""

import logging
import random
import re
import time
from dataclasses import dataclass, field
from http import HTTPMethod

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine import StageTimes
from service.errors import ServiceError
from service.http.problems import problem_response
from service.keys.ring import ApiKey
from service.lifecycle import Lifecycle
from service.telemetry.finished import FinishedRequest

logger = logging.getLogger("bentoml.encodeonce")

REQUEST_ID = "x-request-id"
SENSIBLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""Ids that are echoed. Anything else could smuggle text into a log line."""

SCOPE_KEY = "encodeonce"
UNMATCHED = "unmatched"
"""Route label of unknown paths: the paths themselves would be unbounded."""
OTHER_METHOD = "_OTHER"
"""What OpenTelemetry calls any method that HTTP does not define: a client may make some up."""


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """Filled by the layers that a request passes."""

    request_id: str
    started_s: float = field(default_factory=time.perf_counter)
    """When its headers were there. Its deadline counts from then on."""
    times: StageTimes = field(default_factory=StageTimes)
    tasks: tuple[str, ...] = ()
    """Tasks that were asked for, once they are known to exist."""
    model: tuple[str, str] | None = None
    """Name and version of what answers it, once they are known."""
    key: ApiKey | None = None
    """That the request came with, where the service asks for one."""
    status: int | None = None
    """Of the answer, once it began."""


def context_of(request: Request) -> RequestContext:
    """The context of a request inside ``ContextLayer``."""
    context: RequestContext = request.scope[SCOPE_KEY]
    return context


class ContextLayer:
    """Outermost ASGI layer of the application."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_ns = time.time_ns()
        method, scope = scope["method"], _get_for_head(scope)
        given = Headers(scope=scope)
        context = scope[SCOPE_KEY] = RequestContext(request_id=_request_id(given))
        runtime = self._lifecycle.loaded_runtime
        tracing = runtime.tracing if runtime is not None else None
        span = tracing.begin(given, started_ns=started_ns) if tracing is not None else None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = context.request_id
                if context.model is not None:
                    headers["x-model-name"], headers["x-model-version"] = context.model
                headers["server-timing"] = server_timing(
                    context.times, time.perf_counter() - context.started_s
                )
                if span is not None:
                    headers.update(span.headers)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            if context.status is not None:
                logger.exception("Request %s failed", context.request_id)
                raise  # too late for another answer
            await answer_fault(scope, receive, send_with_headers)
        finally:
            if runtime is not None:
                seconds = time.perf_counter() - context.started_s
                request = _finished(scope, context, method, seconds)
                runtime.saw_request(request)
                if span is not None:
                    span.finish(request)


async def answer_fault(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that ended in a fault nobody had foreseen, where that is caught."""
    request_id = scope[SCOPE_KEY].request_id
    logger.exception("Request %s failed", request_id)
    error = ServiceError("An internal fault, logged under the request id.")
    await problem_response(error, path=scope["path"], request_id=request_id)(scope, receive, send)


def _get_for_head(scope: Scope) -> Scope:
    """HEAD is answered as GET; the server in front leaves the body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _finished(scope: Scope, context: RequestContext, method: str, seconds: float) -> FinishedRequest:
    return FinishedRequest(
        request_id=context.request_id,
        method=method if method in HTTPMethod.__members__ else OTHER_METHOD,
        route=getattr(scope.get("route"), "path", UNMATCHED),
        status=context.status or ServiceError.status,
        seconds=seconds,
        times=context.times,
        tasks=context.tasks,
        model=context.model,
    )


def server_timing(times: StageTimes, total_s: float) -> str:
    """The ``Server-Timing`` header: each stage and the total, in milliseconds."""
    stages = times.by_stage() | {"total": total_s}
    return ", ".join([f"{name};dur={1e3 * seconds:.3f}" for name, seconds in stages.items()])


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if SENSIBLE_REQUEST_ID.fullmatch(given) else new_request_id()


def new_request_id() -> str:
    """One that no other request has: 32 hexadecimal digits.

    It need not be hard to guess, so it is not made of the system's random bytes: to ask for them gives up the
    interpreter to whatever other thread wants it.
    """
    return f"{random.getrandbits(128):032x}"
