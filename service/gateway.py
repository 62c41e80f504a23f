"""The layer that puts our application in front of BentoML's.

BentoML runs the process: arbiter, worker, restarts, the bento. Its HTTP application would answer in
text/plain where ours gives problem documents, and describe the native method in a second OpenAPI document.
So every request goes to our application, but for a few exact paths that are BentoML's own.
"""

import os

from starlette.types import ASGIApp, Receive, Scope, Send

from service.lifecycle import Lifecycle

NATIVE_PATHS = frozenset(
    {
        "/schema.json",  # bentoml.SyncHTTPClient learns the native methods from it
        "/static_content/swagger-ui-bundle.js",  # the assets of /docs
        "/static_content/swagger-ui.css",
    }
)


class Gateway:
    """ASGI middleware: ours first, BentoML's by exception."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle) -> None:
        # One process serves: counters in files shared by several would cost more, and survive a restart.
        # prometheus_client reads the variable when it is imported.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        # Imported here: the arbiter imports the service, too, and never builds its middleware.
        from service.http.app import create_app
        from service.http.context import ContextLayer
        from service.settings import Settings

        self._bentoml = app
        self._native = ContextLayer(app, lifecycle=lifecycle)
        self._application = create_app(lifecycle, with_admin=Settings().admin_port == "main")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass the lifespan on."""
        if scope["type"] == "lifespan":
            # A service's middleware runs inside BentoML's own: tracing, and a timeout that leaves a timer
            # and a task behind for every request. The lifespan comes before the first request: from here
            # on, we are outermost.
            scope["app"].middleware_stack = self
            await self._bentoml(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in NATIVE_PATHS and scope["method"] in ("GET", "HEAD"):
            await self._native(scope, receive, send)
        else:
            await self._application(scope, receive, send)
