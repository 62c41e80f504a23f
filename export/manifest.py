"""The bundle's schema: the one contract between export and service.

A leaf: standard library and pydantic only, so that the service can read a bundle without torch or onnx.

    bundle/
      manifest.json              this schema
      tokenizer.json             fast tokenizer; truncates to ``encoder.max_length``, never pads
      encoder.onnx               packed rows → ``last_hidden_state`` and ``pooled_<name>``
      heads/<task>.onnx          named inputs → ``logits``
      golden.jsonl               one ``GoldenExample`` a line
      MODEL_CARD.md

Errors:
    BundleError
    ├── ManifestError        unreadable, newer or inconsistent manifest
    └── BundleFileError      a listed file is missing, damaged or outside the bundle
"""

import hashlib
import json
import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
TOKENIZER_FILE = "tokenizer.json"
GOLDEN_FILE = "golden.jsonl"
MODEL_CARD_FILE = "MODEL_CARD.md"

PADDING_SEGMENT = -1
"""``segment_ids`` value of a row's unused tail. Real segments count from 0 across the whole batch."""

TASK_NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TaskName = Annotated[str, Field(pattern=TASK_NAME_PATTERN)]


class BundleError(Exception):
    """A bundle that must not be served. The message names the file and what is wrong with it."""


class ManifestError(BundleError):
    """The manifest is unreadable, of a newer schema, or contradicts itself."""


class BundleFileError(BundleError):
    """A file that the manifest lists is missing, damaged or outside the bundle."""


class TaskKind(StrEnum):
    """What a task answers; decides its input fields, loss, metric and decoding."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    PAIR_CLASSIFICATION = "pair_classification"
    PAIR_REGRESSION = "pair_regression"

    @property
    def takes_pair(self) -> bool:
        """Whether an input is two texts."""
        return self in (TaskKind.PAIR_CLASSIFICATION, TaskKind.PAIR_REGRESSION)

    @property
    def has_labels(self) -> bool:
        """Whether the answer is one of the task's labels."""
        return self in (TaskKind.CLASSIFICATION, TaskKind.PAIR_CLASSIFICATION)


class PairMode(StrEnum):
    """How two texts meet the encoder."""

    CROSS_ENCODER = "cross_encoder"
    """As one sequence: every pair is its own encoder row."""
    BI_ENCODER = "bi_encoder"
    """Apart: each text shares its encoder row with every other task on that text."""


class Pooling(StrEnum):
    """Parameter-free poolings: token states → one vector."""

    CLS = "cls"
    MEAN = "mean"

    @property
    def output_name(self) -> str:
        """Name of the encoder graph's output."""
        return f"pooled_{self.value}"


class Precision(StrEnum):
    """Numeric format of an encoder graph."""

    FP32 = "fp32"
    INT8 = "int8"
    FP16 = "fp16"


class HeadInput(StrEnum):
    """Inputs that a head graph may name."""

    POOLED = "pooled"
    """The text's (or cross-encoded pair's) vector. Shape ``(batch_size, hidden_size)``."""
    POOLED_A = "pooled_a"
    """First text of a bi-encoded pair. Shape ``(batch_size, hidden_size)``."""
    POOLED_B = "pooled_b"
    """Second text of a bi-encoded pair. Shape ``(batch_size, hidden_size)``."""
    LAST_HIDDEN_STATE = "last_hidden_state"
    """Token states in packed rows. Shape ``(rows, row_len, hidden_size)``."""
    SEGMENT_IDS = "segment_ids"
    """Which sequence each token of ``last_hidden_state`` belongs to. Shape ``(rows, row_len)``."""


class EncoderInput(StrEnum):
    """Inputs that an encoder graph may name. Each int64 of shape ``(rows, row_len)``."""

    INPUT_IDS = "input_ids"
    POSITION_IDS = "position_ids"
    SEGMENT_IDS = "segment_ids"
    TOKEN_TYPE_IDS = "token_type_ids"  # noqa: S105 - a tensor's name


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Entry):
    """Content of one file of the bundle."""

    sha256: Sha256
    size_bytes: int = Field(ge=0)


class EncoderGraph(_Entry):
    """One precision of the encoder."""

    file: str
    tolerance: float = Field(gt=0)
    """Largest ``deviation`` from the torch model that verification and the golden check accept."""


class EncoderEntry(_Entry):
    """The shared encoder.

    Rows are packed: sequences lie end to end, attention is masked to the own segment, and the pooled
    outputs have one vector per segment, in the order of the segments' first tokens (row by row).
    """

    model: str
    """Where the weights came from: a hub name or a folder's name."""
    model_type: str
    """transformers' family name, such as ``bert``."""
    fingerprint: Sha256
    """Identity of weights, configuration, tokenizer and ``max_length``; not of the graph file."""
    hidden_size: int = Field(gt=0)
    num_layers: int = Field(gt=0)
    max_length: int = Field(gt=2)
    """Tokens a sequence is truncated to, special tokens included."""
    position_offset: int = Field(ge=0)
    """``position_ids`` of a sequence's first token: 0 for BERT, ``pad_token_id + 1`` for RoBERTa."""
    pad_token_id: int = Field(ge=0)
    inputs: tuple[EncoderInput, ...]
    poolings: tuple[Pooling, ...] = Field(min_length=1)
    default_pooling: Pooling
    """What ``/v1/embeddings`` answers."""
    graphs: dict[Precision, EncoderGraph]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if Precision.FP32 not in self.graphs:
            raise ValueError("encoder.graphs has no fp32 graph")
        if self.default_pooling not in self.poolings:
            raise ValueError(
                f"encoder.default_pooling is {self.default_pooling}, expected one of {list(self.poolings)}"
            )
        return self


class HeadEntry(_Entry):
    """One task's head graph, with the output ``logits`` of shape ``(batch_size, num_outputs)``."""

    file: str
    inputs: tuple[HeadInput, ...] = Field(min_length=1)
    num_outputs: int = Field(gt=0)
    encoder_fingerprint: Sha256
    """The encoder this head was trained on."""
    architecture: str
    """For people: ``linear``, ``mlp [256]``, ``diff_product + linear``."""


class TaskEntry(_Entry):
    """One task: what it takes, what it answers, how well."""

    kind: TaskKind
    pair: PairMode | None = None
    pooling: Pooling
    labels: tuple[str, ...] | None = None
    """In the order of the logits. Their softmax gives the scores."""
    range: tuple[float, float] | None = None
    """Bounds of a regression value. The scaled sigmoid is inside the graph."""
    head: HeadEntry
    metrics: dict[str, float] = Field(default_factory=dict)
    """Dev metrics of the fp32 model, by the field's names."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind.takes_pair != (self.pair is not None):
            raise ValueError(f"kind {self.kind} and pair {self.pair} do not go together")
        if self.kind.has_labels != (self.labels is not None):
            raise ValueError(f"kind {self.kind} and labels {self.labels} do not go together")
        expected = len(self.labels) if self.labels else 1
        if self.head.num_outputs != expected:
            raise ValueError(f"head has {self.head.num_outputs} outputs, expected {expected}")
        return self

    @property
    def input_fields(self) -> tuple[str, ...]:
        """Fields of the HTTP API that an input of this task needs."""
        return ("text", "text_pair") if self.kind.takes_pair else ("text",)


class Manifest(_Entry):
    """Everything the service knows about a bundle before it opens a graph."""

    schema_version: int = SCHEMA_VERSION
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    created_at: str
    encoder: EncoderEntry
    tasks: dict[TaskName, TaskEntry] = Field(min_length=1)
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
            if task.pooling not in self.encoder.poolings:
                raise ValueError(
                    f"task {name!r} reads pooling {task.pooling}, but the encoder has "
                    f"{', '.join(self.encoder.poolings)}"
                )
        named = [graph.file for graph in self.encoder.graphs.values()]
        named += [task.head.file for task in self.tasks.values()]
        for file in [*named, TOKENIZER_FILE, GOLDEN_FILE]:
            if file not in self.files:
                raise ValueError(f"{file} is used but not listed under files")
        return self


class GoldenExample(_Entry):
    """One input with the torch model's logits: what a healthy bundle must answer."""

    task: str
    input: dict[str, Any]
    """As in the HTTP API: ``{"text": …}`` or ``{"text": …, "text_pair": …}``."""
    logits: tuple[float, ...]


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


def verify_files(bundle: Path, manifest: Manifest) -> None:
    """Check every listed file against its hash.

    Raises:
        BundleFileError: Naming each file that is missing, damaged, a link or outside the bundle.
    """
    faults = [
        f"{name}: {fault}" for name, entry in manifest.files.items() if (fault := _fault(bundle, name, entry))
    ]
    if faults:
        raise BundleFileError(f"Bundle {bundle} is damaged: " + "; ".join(faults))


def read_golden(bundle: Path) -> list[GoldenExample]:
    """Read the golden examples.

    Raises:
        BundleFileError: If a line is not a golden example; the message names it.
    """
    examples = []
    lines = (bundle / GOLDEN_FILE).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):  # not splitlines(): a text may hold U+2028
        try:
            examples.append(GoldenExample.model_validate_json(line))
        except ValidationError as error:
            raise BundleFileError(f"{GOLDEN_FILE} line {number}: {describe_faults(error)}") from error
    return examples


def deviation(found: Sequence[float], expected: Sequence[float]) -> float:
    """Largest difference between two vectors: absolute where the expected number is below 1, relative above.

    One tolerance then fits logits, probabilities and a value between 0 and 5 or 0 and 1000.

    Args:
        found: Numbers of the graph.
        expected: Numbers of the torch model, as many.

    Returns:
        Not a number if any number is not: compare with ``not deviation <= tolerance``.
    """
    gaps = [abs(f - e) / max(1.0, abs(e)) for f, e in zip(found, expected, strict=True)]
    return math.nan if any(map(math.isnan, gaps)) else max(gaps, default=0.0)


def hash_file(path: Path) -> FileEntry:
    """Hash and size of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(sha256=digest, size_bytes=path.stat().st_size)


def describe_faults(error: ValidationError) -> str:
    """Every fault of a validation error on one line, each with its place."""
    places = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors(include_url=False)]
    return "; ".join(f"{place}: {message}" if place else message for place, message in places)


def _fault(bundle: Path, name: str, entry: FileEntry) -> str | None:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        return "the path leaves the bundle"
    path = bundle / relative
    if any(
        part.is_symlink() for part in [path, *path.parents] if part.is_relative_to(bundle) and part != bundle
    ):
        return "a symbolic link"
    if not path.is_file():
        return "missing"
    size_bytes = path.stat().st_size
    if size_bytes != entry.size_bytes:
        return f"{size_bytes} bytes, expected {entry.size_bytes}"
    found = hash_file(path).sha256
    return None if found == entry.sha256 else f"sha256 {found[:12]}…, expected {entry.sha256[:12]}…"
