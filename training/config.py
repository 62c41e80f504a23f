"""The YAML file's schema.

Classes elsewhere never see a configuration; ``training.build`` flattens it into their arguments.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from training.config_heads import HEADS, EncoderPooling, HeadConfig, LinearHeadConfig, TaskPooling
from training.metrics import METRICS

DATA_SUFFIXES = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}

Combine = Literal["concat", "diff_product", "full", "cosine"]
Column = Annotated[str, Field(min_length=1)]
Labels = Annotated[tuple[str, ...], Field(min_length=2)]
Rate = Annotated[float, Field(gt=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EncoderConfig(_Section):
    """The shared encoder. One tokenizer and one ``max_length`` for all tasks, or nothing could be shared."""

    model: str
    max_length: int = Field(default=128, ge=8)
    pooling: EncoderPooling = "mean"
    """Of tasks that name none, and of ``/v1/embeddings``."""
    train: Literal["full", "frozen"] = "full"
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Of the encoder's layers; as the weights' own configuration says unless given."""
    attention_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Of the attention weights; likewise. On a CPU, 0 saves a tenth of a step or more."""


class HubSplit(_Section):
    """A split of a dataset on the Hugging Face hub."""

    hub: str
    config: str | None = None
    split: str


Source = Annotated[
    Annotated[str, Tag("path")] | Annotated[HubSplit, Tag("hub_split")],
    Discriminator(lambda source: "path" if isinstance(source, str) else "hub_split"),
]


class DataConfig(_Section):
    """Where a task's rows are: a ``.jsonl``, ``.csv`` or ``.parquet`` path, or a hub split."""

    train: Source
    dev: Source


class _Task(_Section):
    data: DataConfig
    label: Column = "label"
    head: HeadConfig = LinearHeadConfig()
    pooling: TaskPooling | None = None
    """Defaults to the encoder's; of a transformers class's head to what the class reads."""
    weight: float = Field(default=1.0, gt=0)
    """Factor of the task's loss."""


class _SingleTask(_Task):
    text: Column = "text"


class _PairTask(_Task):
    text: tuple[Column, Column] = ("text_a", "text_b")
    pair: Literal["cross_encoder", "bi_encoder"]
    combine: Combine | None = None
    """How a bi-encoder joins its two vectors; ``diff_product`` unless said otherwise."""
    symmetric: bool = False
    """Whether the order of the two texts carries no meaning: training then sees every pair in both orders."""


class ClassificationConfig(_SingleTask):
    """One label for one text."""

    kind: Literal["classification"]
    labels: Labels


class RegressionConfig(_SingleTask):
    """One number for one text."""

    kind: Literal["regression"]
    range: tuple[float, float] | None = None


class PairClassificationConfig(_PairTask):
    """One label for two texts."""

    kind: Literal["pair_classification"]
    labels: Labels


class PairRegressionConfig(_PairTask):
    """One number for two texts."""

    kind: Literal["pair_regression"]
    range: tuple[float, float] | None = None


TaskConfig = Annotated[
    ClassificationConfig | RegressionConfig | PairClassificationConfig | PairRegressionConfig,
    Field(discriminator="kind"),
]


class SamplingConfig(_Section):
    """Which task the next batch comes from."""

    name: Literal["proportional", "uniform", "temperature", "round_robin"] = "proportional"
    T: float = Field(default=2.0, ge=1)
    """Temperature: p_i ∝ N_i^(1/T); 1 is proportional, large is uniform."""


class TrainingConfig(_Section):
    """The loop. ``epochs`` counts passes over the examples of all tasks together; ``steps`` overrides it."""

    epochs: float = Field(default=3.0, gt=0)
    steps: int | None = Field(default=None, gt=0)
    """Optimizer steps."""
    batch_size: int = Field(default=32, gt=0)
    batches: Literal["one_task", "metabatch"] = "one_task"
    """One task a batch, or one batch of every task and the weighted sum of their losses."""
    sampling: SamplingConfig = SamplingConfig()
    gradient_accumulation: int = Field(default=1, gt=0)
    learning_rate: Rate = 1e-3
    """Of the heads."""
    encoder_learning_rate: Rate = 5e-5
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the steps."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    evaluate_every: int | None = Field(default=None, gt=0)
    """Steps between evaluations on the selection split, each followed by a checkpoint; a tenth of the run."""


class SelectionConfig(_Section):
    """How the best checkpoint is chosen: on rows set aside from train, so that dev stays for reporting."""

    fraction: float = Field(default=0.1, gt=0, lt=1)
    max_rows: int = Field(default=1000, gt=0)
    score: tuple[str, ...] | None = None
    """``task.metric`` entries whose mean is the joint score; every task's primary metric by default."""
    patience: int | None = Field(default=None, gt=0)
    """Evaluations without a better score before training stops."""


class Config(_Section):
    """One training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    seed: int = Field(default=0, ge=0)
    encoder: EncoderConfig
    tasks: dict[str, TaskConfig] = Field(min_length=1)
    training: TrainingConfig = TrainingConfig()
    selection: SelectionConfig = SelectionConfig()

    @property
    def joint_score(self) -> tuple[str, ...]:
        """``task.metric`` entries of the selection score."""
        default = tuple(f"{name}.{METRICS[task.kind][0]}" for name, task in self.tasks.items())
        return self.selection.score or default


UNION_MEMBERS: Mapping[str, type[BaseModel]] = {
    "classification": ClassificationConfig,
    "regression": RegressionConfig,
    "pair_classification": PairClassificationConfig,
    "pair_regression": PairRegressionConfig,
    **HEADS,
    "path": HubSplit,
    "hub_split": HubSplit,
}
SECTIONS: Mapping[str, type[BaseModel]] = {
    "data": DataConfig,
    "encoder": EncoderConfig,
    "sampling": SamplingConfig,
    "selection": SelectionConfig,
    "training": TrainingConfig,
}
