"""Which model a request is answered by: read from its headers, and kept until it is answered."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request

from service.assembly import Runtime
from service.engine import Engine
from service.http.context import context_of
from service.http.requests import one_of
from service.lifecycle import Lifecycle
from service.models.model import Model
from service.models.routing import Asked, CanaryWish
from service.settings import Settings

NAME_HEADER = "x-model-name"
VERSION_HEADER = "x-model-version"
CANARY_HEADER = "x-canary"


@dataclass(frozen=True, slots=True)
class Leased:
    """The model that a request got, with the service around it, for as long as the request takes."""

    runtime: Runtime
    model: Model

    @property
    def settings(self) -> Settings:
        """What the service was set up with, the same for all its models."""
        return self.runtime.settings

    @property
    def engine(self) -> Engine:
        """The engine that answers for this model's tasks."""
        return self.model.engine

    @property
    def name(self) -> str:
        """What ``x-model-name`` says: the name in the bundle's manifest."""
        return self.model.name

    @property
    def version(self) -> str:
        """What ``x-model-version`` says: the version in the bundle's manifest."""
        return self.model.version


@contextmanager
def leased(
    request: Request, lifecycle: Lifecycle, *, name: str | None = None, version: str | None = None
) -> Iterator[Leased]:
    """The model that a request asks for, by its headers or, before them, by its path.

    Unloading that model waits until the request is over.

    Raises:
        NotReady: Before the start is complete, and while the service ends.
        UnknownModel: If the model or version is not loaded.
        InvalidRequest: If a header is none of what it may be.
    """
    runtime = lifecycle.runtime
    headers = request.headers
    context = context_of(request)
    asked = Asked(
        request_id=context.request_id,
        name=name or headers.get(NAME_HEADER),
        version=version or headers.get(VERSION_HEADER),
        canary=one_of(CanaryWish, request, CANARY_HEADER),
    )
    context.model = None  # a request may lease twice, and the second time in vain
    with runtime.models.lease(asked) as model:
        context.model = (model.name, model.version)
        yield Leased(runtime, model)
