"""Load, route and unload models."""

from collections.abc import Callable

from fastapi import APIRouter, Request

from service.assembly import Runtime
from service.http.admin.auth import check_key
from service.http.admin.schemas import (
    DriftInfo,
    DriftReport,
    LoadedModel,
    LoadRequest,
    Models,
    RouteInfo,
    RouteRequest,
    ServiceStatus,
)
from service.http.openapi import problems, request_body
from service.http.requests import read_json
from service.lifecycle import Lifecycle
from service.models.administration import RouteChange

ADMIN_BODIES = (LoadRequest, RouteRequest)

MAX_BODY_BYTES = 64 * 1024

BODY_STATUSES = (400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503, 504)


def admin_router(lifecycle: Lifecycle) -> APIRouter:
    """Routes for the operator."""
    router = APIRouter(prefix="/admin/v1", tags=["admin"])

    def admitted(request: Request) -> Runtime:
        runtime = lifecycle.runtime
        check_key(request, runtime.settings)
        return runtime

    @router.get("/models", responses=problems(401, 403, 500, 503), summary="List models and routes")
    async def list_models(request: Request) -> Models:
        """Everything that is loaded, and who answers."""
        models = admitted(request).models
        return Models(
            models=[LoadedModel.of(model) for model in models],
            routes=[RouteInfo.of(name, route, models) for name, route in models.routes.items()],
        )

    @router.post(
        "/models",
        responses=problems(*BODY_STATUSES),
        openapi_extra=request_body(LoadRequest, example={"path": "/bundles/support_desk-2", "swap": False}),
        summary="Load a bundle",
    )
    async def load_model(request: Request) -> LoadedModel:
        """Verify it, load it, and let it answer its golden examples, before it may get any traffic."""
        runtime = admitted(request)
        body = await read_json(request, LoadRequest, runtime.settings, max_bytes=MAX_BODY_BYTES)
        model = await runtime.administration.load(body.path)
        if body.swap:
            await runtime.administration.change_route(model.name, {"default": model.version})
        return LoadedModel.of(model)

    @router.delete(
        "/models/{name}/{version}",
        responses=problems(401, 403, 404, 409, 500, 503),
        summary="Unload a version",
    )
    async def unload_model(request: Request, name: str, version: str) -> LoadedModel:
        """It takes no new request; those under way are finished."""
        return LoadedModel.of(await admitted(request).administration.unload(name, version))

    _add_routing(router, admitted)
    _add_draining(router, lifecycle, admitted)
    return router


def _add_routing(router: APIRouter, admitted: Callable[[Request], Runtime]) -> None:
    @router.patch(
        "/routes/{name}",
        responses=problems(*BODY_STATUSES),
        openapi_extra=request_body(RouteRequest, example={"canary": {"version": "2", "percent": 5}}),
        summary="Swap, canary, shadow",
    )
    async def change_route(request: Request, name: str) -> RouteInfo:
        """From the next request on. What the body leaves out stays; null ends canary or shadow."""
        runtime = admitted(request)
        body = await read_json(request, RouteRequest, runtime.settings, max_bytes=MAX_BODY_BYTES)
        route = await runtime.administration.change_route(name, _change(body))
        if body.answers_by_default:
            await runtime.administration.answer_by_default(name)
        return RouteInfo.of(name, route, runtime.models)

    @router.post(
        "/routes/{name}/rollback",
        responses=problems(401, 403, 404, 409, 500, 503),
        summary="Return to the previous default",
    )
    async def roll_back(request: Request, name: str) -> RouteInfo:
        """Also ends canary and shadow."""
        runtime = admitted(request)
        return RouteInfo.of(name, await runtime.administration.roll_back(name), runtime.models)

    @router.get(
        "/routes/{name}/drift",
        responses=problems(401, 403, 404, 500, 503),
        summary="Compare a version with its shadow",
    )
    async def report_drift(request: Request, name: str) -> DriftReport:
        """By task, how often both decided alike, and how far their scores lie apart."""
        runtime = admitted(request)
        runtime.models.route_of(name)
        drifts = runtime.shadows.drift(name)
        return DriftReport(
            name=name,
            drifts=[DriftInfo.of(served, shadow, seen) for (served, shadow), seen in drifts.items()],
        )


def _add_draining(router: APIRouter, lifecycle: Lifecycle, admitted: Callable[[Request], Runtime]) -> None:
    @router.get("/status", responses=problems(401, 403, 500, 503), summary="Phase and requests under way")
    async def status(request: Request) -> ServiceStatus:
        """What a drain waits for."""
        return ServiceStatus(phase=lifecycle.phase, requests=admitted(request).models.requests)

    @router.post("/drain", responses=problems(401, 403, 500, 503), summary="Turn readiness off")
    async def drain(request: Request) -> ServiceStatus:
        """Requests are still answered: whoever routes them takes a while to notice. There is no way back."""
        runtime = admitted(request)
        lifecycle.drain()
        return ServiceStatus(phase=lifecycle.phase, requests=runtime.models.requests)


def _change(body: RouteRequest) -> RouteChange:
    change: RouteChange = {}
    if body.default is not None:
        change["default"] = body.default
    if "canary" in body.model_fields_set:
        change["canary"] = None if body.canary is None else body.canary.share()
    if "shadow" in body.model_fields_set:
        change["shadow"] = None if body.shadow is None else body.shadow.share()
    return change
