"""Who a request comes from, and whether it may: API keys and CORS, as layers around the application."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Unauthorised
from service.http.context import SCOPE_KEY, RequestContext, answer_fault
from service.http.problems import problem_response
from service.keys.ring import ApiKey, KeyRing
from service.lifecycle import Lifecycle

HEALTH = frozenset({"/livez", "/readyz", "/healthz", "/v2/health/live", "/v2/health/ready", "/tei/health"})
DESCRIPTIONS = frozenset({"/docs", "/openapi.json", "/", "/status"})
"""Say nothing that the source code does not: the pages ask the API, as their user."""
METRICS = "/metrics"
OPEN_PREFIXES = ("/admin/", "/pages/")
"""The admin API has a key of its own."""

EXPOSED_HEADERS = ("x-request-id", "server-timing", "retry-after", "inference-header-content-length")


def is_open(path: str, *, metrics_need_key: bool) -> bool:
    """Whether a path takes no API key. Everything that is not named here does, unknown paths too."""
    if path == METRICS:
        return not metrics_need_key
    return path in HEALTH or path in DESCRIPTIONS or path.startswith(OPEN_PREFIXES)


class AccessLayer:
    """Lets a request through if the service has no keys, or the request has one of them. Innermost."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        runtime = self._lifecycle.loaded_runtime  # before there is one, nothing is answered anyway
        if scope["type"] == "http" and runtime is not None and runtime.keys is not None:
            context: RequestContext = scope[SCOPE_KEY]
            if not is_open(scope["path"], metrics_need_key=runtime.settings.metrics_need_key):
                try:
                    context.key = authenticate(Headers(scope=scope), runtime.keys)
                except Unauthorised as error:
                    response = problem_response(error, path=scope["path"], request_id=context.request_id)
                    await response(scope, receive, send)
                    return
        try:
            await self._app(scope, receive, send)
        except Exception:
            if scope["type"] != "http" or scope[SCOPE_KEY].status is not None:
                raise
            await answer_fault(scope, receive, send)  # inside CORS: a page may read the problem


def authenticate(headers: Headers, keys: KeyRing) -> ApiKey:
    """The key of a request: ``authorization: Bearer KEY`` or ``x-api-key: KEY``.

    Raises:
        Unauthorised: If it brings none, or a wrong one.
    """
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    presented = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    if not presented:
        raise Unauthorised("Expected an API key: authorization: Bearer KEY, or x-api-key: KEY.")
    found = keys.find(presented)
    if found is None:
        raise Unauthorised("The API key is not known here.")
    return found


class CorsLayer:
    """Lets pages of the origins in the settings call the service from a browser; by default of none."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._with_cors: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._with_cors is None and (runtime := self._lifecycle.loaded_runtime) is not None:
            origins = runtime.settings.allowed_origins
            self._with_cors = self._around(origins) if origins else self._app
        await (self._with_cors or self._app)(scope, receive, send)

    def _around(self, origins: tuple[str, ...]) -> ASGIApp:
        return CORSMiddleware(
            self._app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=EXPOSED_HEADERS,
        )
