"""``GET /v1/models``: what is loaded, in OpenAI's shape."""

from fastapi import APIRouter

from service.http.openapi import problems
from service.lifecycle import Lifecycle
from service.models.model import Model
from service.schemas import ModelEntry, ModelList


def model_list_router(lifecycle: Lifecycle) -> APIRouter:
    """The route that names models and versions."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/models", responses=problems(500, 503), summary="List the loaded models")
    async def list_models() -> ModelList:
        """Names and versions, for ``x-model-name`` and ``x-model-version``."""
        models = lifecycle.runtime.models
        return ModelList(
            data=[
                _entry(model, is_default=models.routes[model.name].default == model.version)
                for model in models
            ]
        )

    return router


def _entry(model: Model, *, is_default: bool) -> ModelEntry:
    return ModelEntry(
        id=f"{model.name}@{model.version}",
        created=int(model.bundle.manifest.created_at.timestamp()),
        name=model.name,
        version=model.version,
        is_default=is_default,
    )
