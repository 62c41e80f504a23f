"""What an operator changes while the service runs. Every change is remembered for a restarted worker."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from export.manifest import BundleError
from service.errors import BundleRefused, Conflict, SelfCheckFailed
from service.models.model import Model
from service.models.registry import ModelRegistry
from service.models.routing import Route, Share
from service.models.state import SavedModel, state_of, write_state

logger = logging.getLogger("bentoml.encodeonce")


class RouteChange(TypedDict, total=False):
    """What of a route is to change."""

    default: str
    canary: Share | None
    shadow: Share | None


class Administration:
    """The operator's view of the models."""

    def __init__(self, models: ModelRegistry, *, origin: SavedModel, state_file: Path | None) -> None:
        """Remember changes of these models.

        Args:
            models: Loaded already.
            origin: The bundle that the settings name.
            state_file: Where changes are remembered; None if nowhere.
        """
        self._models = models
        self._origin = origin
        self._state_file = state_file
        self._saving = asyncio.Lock()

    async def load(self, path: Path) -> Model:
        """Load a bundle that answers its golden examples.

        Raises:
            BundleRefused: If it must not be served.
            Conflict: If it is loaded already, or there are too many.
        """
        try:
            model = await self._models.load(path)
        except (BundleError, SelfCheckFailed) as error:
            logger.warning("%s is not served", path, exc_info=True)
            raise BundleRefused(str(error)) from error
        await self._save()
        return model

    async def unload(self, name: str, version: str) -> Model:
        """Take a version away that takes no part in the traffic.

        Raises:
            UnknownModel: If it is not loaded.
            Conflict: If it takes part in the traffic.
        """
        model = await self._models.unload(name, version)
        await self._save()
        return model

    async def change_route(self, name: str, change: RouteChange) -> Route:
        """Swap the default, or begin and end canary and shadow. What is not named stays.

        Raises:
            UnknownModel: If model or version is not loaded.
        """
        route = self._models.route_of(name)
        if "default" in change:
            route = route.swap(change["default"])
        if "canary" in change:
            route = replace(route, canary=change["canary"])
        if "shadow" in change:
            route = replace(route, shadow=change["shadow"])
        return await self._set_route(name, route)

    async def roll_back(self, name: str) -> Route:
        """Return to the previous default, and end canary and shadow.

        Raises:
            UnknownModel: If the model is not loaded.
            Conflict: If there is no previous version, or it is not loaded any more.
        """
        try:
            route = self._models.route_of(name).roll_back()
        except LookupError as error:
            raise Conflict(str(error)) from None
        return await self._set_route(name, route)

    async def answer_by_default(self, name: str) -> None:
        """Let this model answer the requests that name none.

        Raises:
            UnknownModel: If it is not loaded.
        """
        self._models.set_default_name(name)
        await self._save()

    async def _set_route(self, name: str, route: Route) -> Route:
        self._models.set_route(name, route)
        await self._save()
        return route

    async def _save(self) -> None:
        if self._state_file is None:
            return
        async with self._saving:  # the last one to write has the last state
            state = state_of(self._models, self._origin)
            try:
                await asyncio.to_thread(write_state, self._state_file, state)
            except OSError:
                # The change holds; only a restarted worker would not know of it.
                logger.exception("%s cannot be written", self._state_file)
