"""``GET /v1/tasks`` and ``GET /v1/tasks/{task}``."""

from fastapi import APIRouter

from service.http.openapi import problems
from service.lifecycle import Lifecycle
from service.schemas import TaskInfo, TaskList


def tasks_router(lifecycle: Lifecycle) -> APIRouter:
    """Routes that describe what is served."""
    router = APIRouter(tags=["tasks"])

    @router.get("/v1/tasks", responses=problems(500, 503), summary="List the tasks")
    async def list_tasks() -> TaskList:
        """Every task of the bundle."""
        engine = lifecycle.runtime.engine
        manifest = engine.manifest
        return TaskList(
            model=manifest.name,
            version=manifest.version,
            encoder=manifest.encoder.model,
            tasks=[
                TaskInfo.of(name, kind, model=manifest.name, version=manifest.version)
                for name, kind in engine.kinds.items()
            ],
        )

    @router.get("/v1/tasks/{task}", responses=problems(404, 500, 503), summary="Describe a task")
    async def show_task(task: str) -> TaskInfo:
        """One task: kind, input fields, options, labels, thresholds, metrics, versions."""
        engine = lifecycle.runtime.engine
        (kind,) = engine.tasks_named([task]).values()
        return TaskInfo.of(task, kind, model=engine.manifest.name, version=engine.manifest.version)

    return router
