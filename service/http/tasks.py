"""``GET /v1/tasks`` and ``GET /v1/tasks/{task}``."""

from fastapi import APIRouter, Request

from service.http.models import leased
from service.http.openapi import MODEL_HEADERS, problems
from service.lifecycle import Lifecycle
from service.schemas import TaskInfo, TaskList


def tasks_router(lifecycle: Lifecycle) -> APIRouter:
    """Routes that describe what is served."""
    router = APIRouter(tags=["tasks"])

    @router.get(
        "/v1/tasks",
        responses=problems(404, 422, 500, 503),
        openapi_extra={"parameters": MODEL_HEADERS},
        summary="List the tasks",
    )
    async def list_tasks(request: Request) -> TaskList:
        """Every task of the bundle."""
        with leased(request, lifecycle) as model:
            return TaskList(
                model=model.name,
                version=model.version,
                encoder=model.engine.manifest.encoder.model,
                tasks=[
                    TaskInfo.of(name, kind, model=model.name, version=model.version)
                    for name, kind in model.engine.kinds.items()
                ],
            )

    @router.get(
        "/v1/tasks/{task}",
        responses=problems(404, 422, 500, 503),
        openapi_extra={"parameters": MODEL_HEADERS},
        summary="Describe a task",
    )
    async def show_task(request: Request, task: str) -> TaskInfo:
        """One task: kind, input fields, options, labels, thresholds, metrics, versions."""
        with leased(request, lifecycle) as model:
            (kind,) = model.engine.tasks_named([task]).values()
            return TaskInfo.of(task, kind, model=model.name, version=model.version)

    return router
