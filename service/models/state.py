"""What a restarted worker must know: the bundles that were loaded and routed while its predecessor ran.

The file counts only as long as the settings still name the bundle that the service began with: whoever
deploys another one means that one.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from export.manifest import describe_faults
from service.bundle import Bundle
from service.models.registry import ModelRegistry
from service.models.routing import Route

logger = logging.getLogger("bentoml.encodeonce")


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SavedModel(_Saved):
    """A loaded bundle as the state file names it."""

    path: Path
    name: str
    version: str

    @classmethod
    def of(cls, bundle: Bundle) -> "SavedModel":
        """Where it lies, and what is to be found there."""
        return cls(path=bundle.path, name=bundle.manifest.name, version=bundle.manifest.version)


class State(_Saved):
    """Everything that the admin API changes."""

    format: Literal[1] = 1
    origin: SavedModel
    """The bundle that ``ENCODEONCE_BUNDLE`` held at the start: the file is of use only while it does."""
    default_name: str
    models: tuple[SavedModel, ...]
    """Loaded models, in the order in which they were loaded and are to be loaded again."""
    routes: dict[str, Route]


def state_of(models: ModelRegistry, origin: SavedModel) -> State:
    """What is loaded now."""
    return State(
        origin=origin,
        default_name=models.default_name,
        models=tuple(SavedModel.of(model.bundle) for model in models),
        routes=dict(models.routes),
    )


def read_state(file: Path, origin: SavedModel) -> State | None:
    """What a predecessor left, if it may count; the log says why if not."""
    try:
        state = State.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = describe_faults(error) if isinstance(error, ValidationError) else error
        logger.warning("Starting from the settings: %s cannot be read: %s", file, reason)
        return None
    if state.origin != origin:
        logger.info("Starting from the settings: %s began with %s", file, state.origin)
        return None
    return state


def write_state(file: Path, state: State) -> None:
    """Replace the file as a whole: a reader finds the old state or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, staged = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as output:
            output.write(state.model_dump_json(indent=1))
            output.flush()
            os.fsync(output.fileno())
        Path(staged).replace(file)
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise


async def restore(models: ModelRegistry, state: State) -> None:
    """Load and route what a state says. A version that nobody is routed to by default may be missing.

    Raises:
        Exception: Whatever keeps a default version from being loaded.
    """
    defaults = {(name, route.default) for name, route in state.routes.items()}
    lost = set()
    for saved in state.models:
        key = saved.name, saved.version
        try:
            await models.load(saved.path, expected=key)
        except Exception as error:
            if key in defaults:
                raise
            logger.warning("%s %s is not loaded again: %s", *key, error)
            lost.add(key)
    for name, route in state.routes.items():
        for version in {each for lost_name, each in lost if lost_name == name}:
            route = route.losing(version)
        models.set_route(name, route)
    models.set_default_name(state.default_name)
