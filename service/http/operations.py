"""``/livez``, ``/healthz``, ``/readyz`` and ``/metrics``."""

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.http.openapi import problems
from service.lifecycle import Lifecycle
from service.schemas import Status


def operations_router(lifecycle: Lifecycle) -> APIRouter:
    """Routes for whoever runs the service."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="Alias of /livez")
    @router.get("/livez", summary="Is the process alive?")
    async def live() -> Status:
        """200 as long as the event loop turns."""
        return Status(status="live")

    @router.get("/readyz", responses=problems(503), summary="May it get requests?")
    async def ready() -> Status:
        """200 once the golden examples were answered, until it drains, or encoder or head keep failing."""
        await lifecycle.check_ready()
        return Status(status="ready")

    @router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
    async def metrics() -> Response:
        """The text format of Prometheus."""
        runtime = lifecycle.loaded_runtime
        content = b"" if runtime is None else generate_latest(runtime.metrics.registry)
        return Response(content, headers={"content-type": CONTENT_TYPE_LATEST})

    return router
