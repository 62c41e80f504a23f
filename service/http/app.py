"""The FastAPI applications. They own every route, every error, and each its OpenAPI document."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException

from service.errors import ServiceError
from service.http.access import AccessLayer, CorsLayer
from service.http.admin.routes import ADMIN_BODIES, admin_router
from service.http.context import ContextLayer, context_of
from service.http.embeddings import embeddings_router
from service.http.model_list import model_list_router
from service.http.openapi import BODIES, install_openapi
from service.http.operations import operations_router
from service.http.pages import pages_router
from service.http.predict import predict_router
from service.http.problems import problem_response, routing_problem_response
from service.http.tasks import tasks_router
from service.http.tei.routes import tei_router
from service.http.v2.routes import v2_router
from service.lifecycle import Lifecycle

SWAGGER_ASSETS = ("/static_content/swagger-ui-bundle.js", "/static_content/swagger-ui.css")
"""BentoML brings them along, so that ``/docs`` needs no other host."""


def create_app(lifecycle: Lifecycle, *, with_admin: bool = False) -> FastAPI:
    """Build the application around a service that need not be ready yet.

    Args:
        lifecycle: Of this process.
        with_admin: Whether the admin API is on this application's port, not on one of its own.
    """
    builders = (
        predict_router,
        tasks_router,
        model_list_router,
        embeddings_router,
        v2_router,
        tei_router,
        operations_router,
        *((admin_router,) if with_admin else ()),
    )
    routers = [*(build(lifecycle) for build in builders), pages_router()]
    app = _bare_app("EncodeOnce", "Encode once, answer every task.", routers)
    app.add_middleware(AccessLayer, lifecycle=lifecycle)
    app.add_middleware(CorsLayer, lifecycle=lifecycle)
    app.add_middleware(ContextLayer, lifecycle=lifecycle)
    install_openapi(app, bodies=(*BODIES, *ADMIN_BODIES) if with_admin else BODIES)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        script, style = SWAGGER_ASSETS
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="EncodeOnce",
            swagger_js_url=script,
            swagger_css_url=style,
            swagger_favicon_url="data:,",
        )

    return app


def create_admin_app(lifecycle: Lifecycle) -> FastAPI:
    """Build the admin API's application, for a port of its own. Neither API keys nor CORS reach it."""
    app = _bare_app("EncodeOnce admin", "Change what is served.", [admin_router(lifecycle)])
    app.add_middleware(ContextLayer, lifecycle=lifecycle)
    install_openapi(app, bodies=ADMIN_BODIES)
    return app


def _bare_app(title: str, description: str, routers: Sequence[APIRouter]) -> FastAPI:
    app = FastAPI(
        title=title,
        version="1",
        description=description,
        # An included router would be asked twice, whether it has the route and which.
        routes=[route for router in routers for route in router.routes],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Spans and metrics are ours: its own would double them, and its log records carry exceptions' texts.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.add_exception_handler(ServiceError, _answer_service_error)
    app.add_exception_handler(HTTPException, _answer_routing_error)
    return app


async def _answer_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for it alone
    return problem_response(error, path=request.url.path, request_id=context_of(request).request_id)


async def _answer_routing_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    return routing_problem_response(
        error,
        path=request.url.path,
        method=request.method,
        request_id=context_of(request).request_id,
    )
