"""Request and response models of the admin API."""

from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service.lifecycle import Phase
from service.models.drift import Drift
from service.models.model import Model
from service.models.registry import ModelRegistry
from service.models.routing import Route, Share


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoadRequest(_Model):
    """Body of ``POST /admin/v1/models``."""

    path: Path = Field(description="Folder of the bundle, on the server.")
    swap: bool = Field(False, description="Whether it becomes the default version at once.")


class ShareBody(_Model):
    """A version that takes part in the traffic."""

    version: str
    percent: float = Field(ge=0, le=100, allow_inf_nan=False, description="Of the requests.")

    def share(self) -> Share:
        """The same for the router."""
        return Share(version=self.version, percent=self.percent)


class RouteRequest(_Model):
    """Body of ``PATCH /admin/v1/routes/{name}``. What is left out stays; null ends canary or shadow."""

    default: str | None = Field(None, description="The version that answers.")
    canary: ShareBody | None = Field(None, description="Answers its share instead.")
    shadow: ShareBody | None = Field(None, description="Answers a copy of its share, for the drift report.")
    answers_by_default: Literal[True] | None = Field(
        None, description="Whether requests that name no model get this one."
    )


class RouteInfo(_Model):
    """Which versions of a model answer, and which share of the requests each."""

    name: str
    default: str
    previous: str | None = Field(description="What a rollback returns to.")
    canary: ShareBody | None
    shadow: ShareBody | None
    answers_by_default: bool = Field(description="Whether requests that name no model get this one.")

    @classmethod
    def of(cls, name: str, route: Route, models: ModelRegistry) -> "RouteInfo":
        """Describe a route."""
        canary, shadow = (
            None if share is None else ShareBody(version=share.version, percent=share.percent)
            for share in (route.canary, route.shadow)
        )
        return cls(
            name=name,
            default=route.default,
            previous=route.previous,
            canary=canary,
            shadow=shadow,
            answers_by_default=name == models.default_name,
        )


class LoadedModel(_Model):
    """A version that is loaded, whether requests reach it or not."""

    name: str
    version: str
    path: str
    created_at: AwareDatetime
    precision: str
    provider: str
    encoder: str = Field(description="Fingerprint. Versions with the same one share cache and session.")
    tasks: list[str]
    requests: int = Field(description="Under way.")

    @classmethod
    def of(cls, model: Model) -> "LoadedModel":
        """Describe a model."""
        manifest = model.bundle.manifest
        return cls(
            name=model.name,
            version=model.version,
            path=str(model.bundle.path),
            created_at=manifest.created_at,
            precision=model.bundle.precision,
            provider=model.host.parts.provider,
            encoder=manifest.encoder.fingerprint,
            tasks=list(manifest.tasks),
            requests=model.leases,
        )


class Models(_Model):
    """Answer of ``GET /admin/v1/models``."""

    models: list[LoadedModel]
    routes: list[RouteInfo]


class TaskDriftInfo(_Model):
    """How far a shadow's answers for a task lie from what was served."""

    compared: int = Field(description="Answers.")
    agreement: float | None = Field(description="Share of equal decisions; null of values.")
    mean_distance: float | None = Field(
        description="Mean of each answer's largest difference of a score; of requests for all scores alone."
    )
    max_distance: float


class DriftInfo(_Model):
    """A served version beside its shadow, since the shadow or its share was set."""

    served: str
    shadow: str
    requests: int = Field(description="Answered by both.")
    failed: int = Field(description="Not answered by the shadow.")
    skipped: int = Field(description="Not asked again: enough copies were under way.")
    tasks: dict[str, TaskDriftInfo]

    @classmethod
    def of(cls, served: str, shadow: str, drift: Drift) -> "DriftInfo":
        """Describe what was seen."""
        return cls(
            served=served,
            shadow=shadow,
            requests=drift.requests,
            failed=drift.failed,
            skipped=drift.skipped,
            tasks={
                task: TaskDriftInfo(
                    compared=seen.compared,
                    agreement=seen.agreement,
                    mean_distance=seen.mean_distance,
                    max_distance=seen.distance_max,
                )
                for task, seen in sorted(drift.tasks.items())
            },
        )


class DriftReport(_Model):
    """Answer of ``GET /admin/v1/routes/{name}/drift``."""

    name: str
    drifts: list[DriftInfo]


class ServiceStatus(_Model):
    """Answer of ``GET /admin/v1/status`` and ``POST /admin/v1/drain``."""

    phase: Phase
    requests: int = Field(description="Under way.")
