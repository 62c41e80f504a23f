"""The manifest's parts: files, encoder, heads, tasks, and what reduced precisions cost."""

import math
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from export.manifest.names import (
    INPUT_FIELDS,
    TASK_NAME_PATTERN,
    EncoderInput,
    HeadInput,
    Layout,
    PairMode,
    Pooling,
    Precision,
    TagScheme,
    TaskKind,
)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TaskName = Annotated[str, Field(pattern=TASK_NAME_PATTERN)]


def _measured(metrics: Any) -> Any:  # noqa: ANN401 - before validation
    """What is a number: JSON has no other, and a metric may have none (a graph whose outputs overflow)."""
    if not isinstance(metrics, dict):
        return metrics
    return {
        name: value for name, value in metrics.items() if not isinstance(value, float) or math.isfinite(value)
    }


Metrics = Annotated[dict[str, float], BeforeValidator(_measured)]
"""Dev metrics by the field's names, the primary one first; one that is no number is left out."""


class Entry(BaseModel):
    """A part of the manifest: unknown fields are errors, numbers are finite, and nothing changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileEntry(Entry):
    """Content of one file of the bundle."""

    sha256: Sha256
    size_bytes: int = Field(ge=0)


class EncoderGraph(Entry):
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


class EncoderEntry(Entry):
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
        if self.default_pooling.is_layered:
            raise ValueError(f"encoder.default_pooling is {self.default_pooling}, which is no single vector")
        return self


class HeadEntry(Entry):
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


class SpanSearch(Entry):
    """How an answer is looked for in a context."""

    stride: int = Field(ge=0)
    """Tokens that neighbouring windows of a long context share."""
    max_answer_tokens: int = Field(gt=0)
    no_answer_threshold: float | None = None
    """By how much the best span's ``start + end`` logits must exceed those of its window's first token, or
    there is no answer; None for a model that has learned from answerable questions alone."""


class TaskEntry(Entry):
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
    metrics: Metrics = Field(default_factory=dict)
    """Of the fp32 torch model."""

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
        if repeated := {label for label in self.labels or () if (self.labels or ()).count(label) > 1}:
            raise ValueError(f"labels name {', '.join(sorted(repeated))} more than once")
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


class PrecisionReport(Entry):
    """How an encoder graph of one precision does on dev, through ONNX Runtime."""

    is_kept: bool
    """Whether the bundle has its graph."""
    reason: str
    """For people: why it was kept or not."""
    metrics: dict[TaskName, Metrics]
    """By task."""


class PrecisionTable(Entry):
    """The evidence that reduced precisions were judged by."""

    budget: float = Field(ge=0)
    """Points (0.01) that a task's primary metric might lose."""
    rows: dict[TaskName, int]
    """Dev rows that were read, the same for every precision."""
    reports: dict[Precision, PrecisionReport]
    """fp32 among them: what the others are compared with."""
