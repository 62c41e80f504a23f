"""The file of keys. It holds their hashes, never the keys.

A key is 256 random bits, so one round of SHA-256 keeps it: there is no dictionary to try, and a slow hash
(scrypt), which passwords need, would cost tens of milliseconds a request.
"""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from export.manifest import Sha256, describe_faults

PREFIX = "eo_"
"""Lets secret scanners know a key when they see one."""
NUM_BYTES = 32


class KeyFileError(Exception):
    """The file of keys cannot be used. The message says why."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyEntry(_Model):
    """A key as it is stored: its hash, and what it opens."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Of whoever holds it; appears in logs and metrics."""
    sha256: Sha256
    tasks: Annotated[frozenset[str], Field(min_length=1)] | None = None
    """Names that it may ask for; ``_embeddings`` for vectors. None for all."""
    inputs_per_s: PositiveFloat | None = None
    """Inputs a second in the long run. None for any number."""
    burst: PositiveInt | None = None
    """Inputs at once, after a pause. By default, those of ten seconds."""


class KeyFile(_Model):
    """The whole file. No name is there twice."""

    keys: tuple[KeyEntry, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [key.name for key in self.keys]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"several keys are named {', '.join(sorted(twice))}")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """From JSON.

        Raises:
            KeyFileError: If it is unreadable or invalid.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise KeyFileError(f"The file of API keys cannot be read: {error}.") from error
        except ValidationError as error:
            raise KeyFileError(f"{path}: {describe_faults(error)}") from None

    def write(self, path: Path) -> None:
        """As JSON that its owner alone can read; the file is replaced as a whole."""
        staged = path.with_name(f"{path.name}.staged")
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self.model_dump_json(indent=2, exclude_none=True) + "\n")
        staged.replace(path)


def new_key() -> str:
    """A key that nobody has seen."""
    return PREFIX + secrets.token_urlsafe(NUM_BYTES)


def hash_key(key: str) -> str:
    """What the file holds of a key."""
    return hashlib.sha256(key.encode()).hexdigest()
