"""The manifest itself, and how it is read."""

import json
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from export.manifest.entries import EncoderEntry, Entry, FileEntry, PrecisionTable, TaskEntry, TaskName
from export.manifest.errors import ManifestError
from export.manifest.faults import describe_faults
from export.manifest.names import GOLDEN_FILE, MANIFEST_FILE, TOKENIZER_FILE

SCHEMA_VERSION = 3
"""1: classification, regression and pairs. 2: all kinds, learned poolings, calibration, padded encoders.
3: an encoder graph's weights in a file beside it."""


class Manifest(Entry):
    """Everything the service knows about a bundle before it opens a graph."""

    schema_version: int = SCHEMA_VERSION
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    created_at: AwareDatetime
    encoder: EncoderEntry
    tasks: dict[TaskName, TaskEntry] = Field(min_length=1)
    precisions: PrecisionTable | None = None
    """None where no reduced precision was asked for."""
    files: dict[str, FileEntry]
    """Every file of the bundle but the manifest, by its path relative to the bundle."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, task in self.tasks.items():
            if task.head.encoder_fingerprint != self.encoder.fingerprint:
                raise ValueError(
                    f"head of task {name!r} was trained on encoder {task.head.encoder_fingerprint[:12]}…, "
                    f"but this bundle's encoder is {self.encoder.fingerprint[:12]}…"
                )
            if task.pooling is not None and task.pooling not in self.encoder.poolings:
                raise ValueError(
                    f"task {name!r} reads pooling {task.pooling}, but the encoder has "
                    f"{', '.join(self.encoder.poolings)}"
                )
        for precision, report in (self.precisions.reports if self.precisions else {}).items():
            if report.is_kept != (precision in self.encoder.graphs):
                raise ValueError(f"precisions.reports.{precision} and encoder.graphs contradict each other")
        named = [file for graph in self.encoder.graphs.values() for file in graph.files]
        named += [task.head.file for task in self.tasks.values()]
        for file in [*named, TOKENIZER_FILE, GOLDEN_FILE]:
            if file not in self.files:
                raise ValueError(f"{file} is used but not listed under files")
        return self


def parse_manifest(text: str) -> Manifest:
    """Read a manifest and check it against the schema.

    Raises:
        ManifestError: If the text is no JSON, of a newer schema, or inconsistent. All faults are named.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ManifestError(f"{MANIFEST_FILE} is not JSON: {error}") from error
    found = raw.get("schema_version") if isinstance(raw, dict) else None
    if not isinstance(found, int):
        raise ManifestError(f"{MANIFEST_FILE} has no schema_version. Expected {SCHEMA_VERSION}.")
    if found > SCHEMA_VERSION:
        raise ManifestError(
            f"{MANIFEST_FILE} has schema version {found}; this program reads up to {SCHEMA_VERSION}. "
            "Update EncodeOnce, or export the bundle again with this version."
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"{MANIFEST_FILE} is invalid: {describe_faults(error)}") from error


def read_manifest(bundle: Path) -> Manifest:
    """Read ``bundle/manifest.json``.

    Raises:
        ManifestError: If it is missing or invalid.
    """
    path = bundle / MANIFEST_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} cannot be read: {error}") from error
    return parse_manifest(text)
