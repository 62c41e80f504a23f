"""The loaded models by name and version: loading, routing, leasing, unloading.

A model is leased for the time of a request. One that is unloaded takes no new request, and closes when its
last lease ends; an encoder closes with the last model that reads from it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from service.bundle import Bundle
from service.errors import Conflict, Overloaded, UnknownModel
from service.golden import check_golden
from service.models.encoders import EncoderHosts
from service.models.loading import Loader
from service.models.model import Model, build_model
from service.models.routing import Asked, Route
from service.observer import Observer

logger = logging.getLogger("bentoml.encodeonce")


class ModelRegistry:
    """What is loaded, and which of it answers."""

    def __init__(
        self,
        loader: Loader,
        encoders: EncoderHosts,
        *,
        observer: Observer,
        row_len: int,
        max_models: int,
        max_requests: int,
    ) -> None:
        self._loader = loader
        self._encoders = encoders
        self._observer = observer
        self._row_len = row_len
        self._max_models = max_models
        self._max_requests = max_requests
        self._requests = 0
        self._models: dict[tuple[str, str], Model] = {}
        self._retired: set[Model] = set()
        self._routes: dict[str, Route] = {}
        self._default_name = ""
        # One change at a time: what a load has found must not close while it goes on.
        self._changing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self.on_load: Callable[[], None] = lambda: None
        """Told when a model was loaded, or could not be."""
        self.on_unload: Callable[[], None] = lambda: None
        """Told when one has gone, after its last request."""

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    @property
    def names(self) -> Collection[str]:
        """Of the models that have a version loaded."""
        return self._routes.keys()

    @property
    def default(self) -> Model:
        """What answers a request that asks for nothing."""
        return self._models[self._default_name, self._routes[self._default_name].default]

    @property
    def default_name(self) -> str:
        """Of the model that answers a request that names none."""
        return self._default_name

    @property
    def routes(self) -> Mapping[str, Route]:
        """The route of each model, by name."""
        return MappingProxyType(self._routes)

    def find(self, asked: Asked) -> Model:
        """The model that answers a request.

        Raises:
            UnknownModel: If it asks for one that is not loaded. The loaded ones are named.
        """
        name = asked.name or self._default_name
        version = self.route_of(name).choose(asked)
        model = self._models.get((name, version))
        if model is None:
            versions = ", ".join(version for each, version in self._models if each == name)
            raise UnknownModel(f"Model {name!r} has no version {version!r}. Loaded: {versions}.")
        return model

    def route_of(self, name: str) -> Route:
        """Who answers for a model.

        Raises:
            UnknownModel: If no version of it is loaded.
        """
        if name not in self._routes:
            raise UnknownModel(f"Unknown model {name!r}. Loaded: {', '.join(sorted(self._routes))}.")
        return self._routes[name]

    @property
    def requests(self) -> int:
        """Requests that hold a lease now, over all models."""
        return self._requests

    @contextmanager
    def lease(self, asked: Asked) -> Iterator[Model]:
        """The model that answers a request, kept until the request is over.

        Raises:
            UnknownModel: As ``find``.
            Overloaded: If too many requests are under way.
        """
        model = self.find(asked)
        if self._requests >= self._max_requests:
            raise Overloaded(
                f"{self._requests} requests are under way already.", retry_after_s=model.host.backlog_s()
            )
        self._requests += 1
        model.leases += 1
        try:
            yield model
        finally:
            self._requests -= 1
            model.leases -= 1
            if model.is_retired and not model.leases:
                self._close_soon(model)

    async def load(self, path: Path, *, expected: tuple[str, str] | None = None) -> Model:
        """Open a bundle, load what is not there yet, and check its golden examples before it gets traffic.

        Args:
            path: Of the bundle.
            expected: Name and version that must be found there; None takes any.

        Raises:
            BundleError: If it must not be served.
            SelfCheckFailed: If its answers are not the model's.
            Conflict: If it is another than expected, or loaded already, or there are too many.
        """
        started_s = time.perf_counter()
        async with self._changing:
            bundle = await asyncio.to_thread(self._loader.open, path)
            self._admit(bundle, expected)
            model = await self._start(bundle)
            self._models[model.name, model.version] = model
            self._routes.setdefault(model.name, Route(default=model.version))
            self._default_name = self._default_name or model.name
        logger.info(
            "Loaded %s %s (%s on %s) in %.1f s: %d golden examples answered as the model does; %s",
            model.name,
            model.version,
            bundle.precision.value,
            model.host.parts.provider,
            time.perf_counter() - started_s,
            len(bundle.golden),
            model.host.describe(),
        )
        return model

    def set_route(self, name: str, route: Route) -> None:
        """Send a model's traffic elsewhere, from the next request on.

        Raises:
            UnknownModel: If a version that takes part is not loaded.
        """
        for _, version in route.roles():
            self.find(Asked(request_id="", name=name, version=version))
        self._routes[name] = route
        logger.info("Routed %s: %s", name, route)

    def set_default_name(self, name: str) -> None:
        """Let another model answer requests that name none.

        Raises:
            UnknownModel: If it is not loaded.
        """
        self.find(Asked(request_id="", name=name))
        self._default_name = name

    async def check(self) -> None:
        """Ask every encoder that seems to fail, and every such head that requests are routed to.

        A shadow's heads are nobody's trouble: it answers nobody.

        Raises:
            NotReady: If one does.
        """
        for host in list(self._encoders):
            await host.check()
        for name, route in list(self._routes.items()):
            for role, version in route.roles():
                model = self._models.get((name, version))
                if role != "shadow" and model is not None:
                    await model.check_heads()

    async def unload(self, name: str, version: str) -> Model:
        """Take a version away. Requests that it answers just now are finished.

        Raises:
            UnknownModel: If it is not loaded.
            Conflict: If it takes part in the traffic.
        """
        async with self._changing:
            model = self.find(Asked(request_id="", name=name, version=version))
            route = self._routes[name]
            is_last = len([each for each, _ in self._models if each == name]) == 1
            if not is_last or name == self._default_name:
                for role, taking_part in route.roles():
                    if version == taking_part:
                        raise Conflict(
                            f"{name} {version} is the {role} version. Route {name} elsewhere first."
                        )
            del self._models[name, version]
            if is_last:
                del self._routes[name]
            else:
                self._routes[name] = route.losing(version)
        model.is_retired = True
        self._retired.add(model)
        if not model.leases:
            await self._close(model)
        logger.info("Unloaded %s %s; %d requests are being finished", name, version, model.leases)
        return model

    async def close(self) -> None:
        """Stop everything; what still waits is refused."""
        async with self._changing:
            for model in (*self._models.values(), *self._retired):
                model.close()
            for loaded in (self._models, self._retired, self._routes):
                loaded.clear()
            self._default_name = ""
            await self._encoders.stop_unused()

    def _admit(self, bundle: Bundle, expected: tuple[str, str] | None) -> None:
        name, version = bundle.manifest.name, bundle.manifest.version
        if expected not in (None, (name, version)):
            raise Conflict(f"{bundle.path} holds {name} {version} now.")
        if (name, version) in self._models:
            raise Conflict(f"{name} {version} is loaded already.")
        if len(self._models) + len(self._retired) >= self._max_models:
            loaded = ", ".join(f"{name} {version}" for name, version in self._models)
            raise Conflict(f"{self._max_models} models are the most. Unload one of: {loaded}.")

    async def _start(self, bundle: Bundle) -> Model:
        model = None
        try:
            host = self._encoders.find(bundle)
            if host is None:
                parts = await asyncio.to_thread(self._loader.load_encoder, bundle)
                host = self._encoders.start(parts, bundle)
            heads = await asyncio.to_thread(self._loader.load_heads, bundle)
            model = build_model(bundle, heads, host, observer=self._observer, row_len=self._row_len)
            await check_golden(model.engine, bundle.golden, tolerance=model.tolerance)
            self._encoders.trust(host)
        except BaseException:
            if model is not None:
                model.close()
            await self._encoders.stop_unused()
            raise
        finally:
            self.on_load()
        return model

    def _close_soon(self, model: Model) -> None:
        task = asyncio.get_running_loop().create_task(self._close(model))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, model: Model) -> None:
        async with self._changing:
            if model in self._retired:  # else everything was stopped meanwhile
                self._retired.remove(model)
                model.close()
            await self._encoders.stop_unused()
        self.on_unload()
