"""The bundle's schema: the one contract between export and service.

A leaf: standard library and pydantic only, so that the service can read a bundle without torch or onnx.

    bundle/
      manifest.json              this schema
      tokenizer.json             fast tokenizer; truncates to ``encoder.max_length``, never pads
      encoder.onnx               packed rows → ``last_hidden_state`` and ``pooled_<name>``
      encoder.weights            what that graph reads, to be mapped into memory
      encoder.<precision>.*      the same in int8 or fp16, where that was asked for and good enough
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
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

SCHEMA_VERSION = 3
"""1: classification, regression and pairs. 2: all kinds, learned poolings, calibration, padded encoders.
3: an encoder graph's weights in a file beside it."""
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
    MULTI_LABEL = "multi_label"
    REGRESSION = "regression"
    PAIR_CLASSIFICATION = "pair_classification"
    PAIR_REGRESSION = "pair_regression"
    RANKING = "ranking"
    TAGGING = "tagging"
    QUESTION_ANSWERING = "question_answering"
    MULTIPLE_CHOICE = "multiple_choice"

    @property
    def takes_pair_mode(self) -> bool:
        """Whether two texts meet, as one sequence or apart: the task says which."""
        return self in (
            TaskKind.PAIR_CLASSIFICATION, TaskKind.PAIR_REGRESSION, TaskKind.RANKING, TaskKind.MULTIPLE_CHOICE
        )  # fmt: skip

    @property
    def has_labels(self) -> bool:
        """Whether the answer is made of the task's labels."""
        return self in (
            TaskKind.CLASSIFICATION, TaskKind.MULTI_LABEL, TaskKind.PAIR_CLASSIFICATION, TaskKind.TAGGING
        )  # fmt: skip

    @property
    def is_token_level(self) -> bool:
        """Whether the head gives logits for every token instead of one row for a sequence or pair."""
        return self in (TaskKind.TAGGING, TaskKind.QUESTION_ANSWERING)


INPUT_FIELDS: Mapping[TaskKind, tuple[str, ...]] = {
    TaskKind.PAIR_CLASSIFICATION: ("text", "text_pair"),
    TaskKind.PAIR_REGRESSION: ("text", "text_pair"),
    TaskKind.RANKING: ("query", "documents"),
    TaskKind.TAGGING: ("text", "tokens"),
    TaskKind.QUESTION_ANSWERING: ("question", "context"),
    TaskKind.MULTIPLE_CHOICE: ("context", "question", "choices"),
}
"""Tagging takes ``text`` or ``tokens``; multiple choice ``choices`` and ``context``, ``question`` or both."""


class TagScheme(StrEnum):
    """How tags mark spans."""

    BIO = "bio"
    """``B-`` begins every span, ``I-`` continues it (IOB2)."""
    IOB1 = "iob1"
    """``I-`` begins a span too; ``B-`` only right behind a span of the same label."""
    IOBES = "iobes"
    """``B-``, ``I-``, ``E-`` for the last token, ``S-`` for a span of one token."""
    PLAIN = "plain"
    """A label for each token, no spans: parts of speech."""


class PairMode(StrEnum):
    """How two texts meet the encoder."""

    CROSS_ENCODER = "cross_encoder"
    """As one sequence: every pair is its own encoder row."""
    BI_ENCODER = "bi_encoder"
    """Apart: each text shares its encoder row with every other task on that text."""


class Pooling(StrEnum):
    """Poolings without parameters of a task: token states → one vector, or one for each layer."""

    CLS = "cls"
    MEAN = "mean"
    MAX = "max"
    POOLER = "pooler"
    """The encoder's own: a dense layer and tanh over the first token. Not every family has one."""
    CLS_LAYERS = "cls_layers"
    """The first token's state after the embeddings and after every layer: what a layer mix weighs."""
    MEAN_LAYERS = "mean_layers"
    """The mean of the token states after the embeddings and after every layer."""

    @property
    def is_layered(self) -> bool:
        """Whether vectors have shape ``(num_layers + 1, hidden_size)`` instead of ``(hidden_size,)``."""
        return self in (Pooling.CLS_LAYERS, Pooling.MEAN_LAYERS)

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


class Layout(StrEnum):
    """How sequences lie in an encoder's rows."""

    PACKED = "packed"
    """End to end; attention keeps to the own segment."""
    PADDED = "padded"
    """One a row, for families whose attention cannot be masked by segment."""


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
    weights: str | None = None
    """File beside it that the graph itself names; None where they lie in the graph, as before schema 3."""
    tolerance: float = Field(gt=0)
    """Largest ``deviation`` from the torch model that verification and the golden check accept."""

    @property
    def files(self) -> tuple[str, ...]:
        """All that it takes to run it."""
        return (self.file,) if self.weights is None else (self.file, self.weights)


class EncoderEntry(_Entry):
    """The shared encoder.

    The pooled outputs have one vector per segment, in the order of the segments' first tokens (row by row).
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
    layout: Layout = Layout.PACKED
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
    """One task's head graph, with the output ``logits``.

    Shape ``(batch_size, num_outputs)``, a row for each sequence or bi-encoded pair; of a token-level kind
    ``(rows, row_len, num_outputs)``, as ``last_hidden_state`` has them.
    """

    file: str
    inputs: tuple[HeadInput, ...] = Field(min_length=1)
    num_outputs: int = Field(gt=0)
    encoder_fingerprint: Sha256
    """The encoder this head was trained on."""
    architecture: str
    """For people: ``linear``, ``mlp [256]``, ``diff_product + linear``."""


class SpanSearch(_Entry):
    """How an answer is looked for in a context."""

    stride: int = Field(ge=0)
    """Tokens that neighbouring windows of a long context share."""
    max_answer_tokens: int = Field(gt=0)
    no_answer_threshold: float | None = None
    """By how much the best span's ``start + end`` logits must exceed those of its window's first token, or
    there is no answer; None for a model that has learned from answerable questions alone."""


class TaskEntry(_Entry):
    """One task: what it takes, what it answers, how well."""

    kind: TaskKind
    pair: PairMode | None = None
    """How two texts meet; of multiple choice, ``cross_encoder`` if None."""
    pooling: Pooling | None = None
    """What the head's ``pooled…`` inputs hold; None for a head over token states."""
    labels: tuple[str, ...] | None = None
    """In the order of the logits. Their softmax gives the scores; of several at once, their sigmoid."""
    range: tuple[float, float] | None = None
    """Bounds of a regression value. The scaled sigmoid is inside the graph."""
    temperature: float = Field(default=1.0, gt=0)
    """Logits are divided by it before softmax or sigmoid (Guo et al. 2017); fitted on dev."""
    thresholds: tuple[float, ...] | None = None
    """Of several labels at once: the score from which a label is given. In the order of the labels."""
    scheme: TagScheme | None = None
    """Of tagging; its ``labels`` are the tags."""
    spans: SpanSearch | None = None
    """Of question answering, whose two outputs are start and end logits."""
    head: HeadEntry
    metrics: dict[str, float] = Field(default_factory=dict)
    """Dev metrics of the fp32 torch model, by the field's names."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        is_choice = self.kind is TaskKind.MULTIPLE_CHOICE
        belonging = {
            "pair": self.kind.takes_pair_mode and not (is_choice and self.pair is None),
            "labels": self.kind.has_labels,
            "thresholds": self.kind is TaskKind.MULTI_LABEL,
            "scheme": self.kind is TaskKind.TAGGING,
            "spans": self.kind is TaskKind.QUESTION_ANSWERING,
        }
        for name, belongs in belonging.items():
            if belongs != (getattr(self, name) is not None):
                raise ValueError(f"kind {self.kind} and {name} {getattr(self, name)} do not go together")
        if self.thresholds is not None and len(self.thresholds) != len(self.labels or ()):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(self.labels or ())} labels")
        if self.reads_pooled != (self.pooling is not None):
            inputs = ", ".join(self.head.inputs)
            raise ValueError(f"a head that reads {inputs} and pooling {self.pooling} do not go together")
        if self.kind.is_token_level and self.reads_pooled:
            raise ValueError(f"kind {self.kind} needs a head over last_hidden_state")
        expected = 2 if self.kind is TaskKind.QUESTION_ANSWERING else len(self.labels or (None,))
        if self.head.num_outputs != expected:
            raise ValueError(f"head has {self.head.num_outputs} outputs, expected {expected}")
        return self

    @property
    def input_fields(self) -> tuple[str, ...]:
        """Fields of the HTTP API that make an input; ``INPUT_FIELDS`` says which may be left out."""
        return INPUT_FIELDS.get(self.kind, ("text",))

    @property
    def reads_pooled(self) -> bool:
        """Whether the head reads pooled vectors instead of token states."""
        return HeadInput.LAST_HIDDEN_STATE not in self.head.inputs


class PrecisionReport(_Entry):
    """How an encoder graph of one precision does on dev, through ONNX Runtime."""

    is_kept: bool
    """Whether the bundle has its graph."""
    reason: str
    """For people: why it was kept or not."""
    metrics: dict[TaskName, dict[str, float]]
    """By task, then by the field's names."""


class PrecisionTable(_Entry):
    """The evidence that reduced precisions were judged by."""

    budget: float = Field(ge=0)
    """Points (0.01) that a task's primary metric might lose."""
    rows: dict[TaskName, int]
    """Dev rows that were read, the same for every precision."""
    reports: dict[Precision, PrecisionReport]
    """fp32 among them: what the others are compared with."""


class Manifest(_Entry):
    """Everything the service knows about a bundle before it opens a graph."""

    schema_version: int = SCHEMA_VERSION
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    created_at: str
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


def _as_rows(logits: Any) -> Any:  # noqa: ANN401 - before validation
    """Bundles of schema 1 have one row, written without its brackets."""
    is_flat = isinstance(logits, list | tuple) and all(isinstance(each, int | float) for each in logits)
    return (logits,) if is_flat else logits


class GoldenExample(_Entry):
    """One input with the torch model's logits: what a healthy bundle must answer."""

    task: str
    input: dict[str, Any]
    """As in the HTTP API: ``{"text": …}``, ``{"query": …, "documents": […]}``."""
    logits: Annotated[tuple[tuple[float, ...], ...], BeforeValidator(_as_rows)]
    """One row for a sequence or pair: one for a text, one for each document or choice. Of a token-level kind,
    one for each token of each window, special tokens included."""


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
            # From None: the cause would show the line's text in a log.
            raise BundleFileError(f"{GOLDEN_FILE} line {number}: {describe_faults(error)}") from None
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
