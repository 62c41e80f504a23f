"""The YAML file's schema.

Classes elsewhere never see a configuration; ``training.assembly`` flattens it into their arguments.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from training.config.growth import GrowthConfig
from training.config.heads import HEADS, EncoderPooling
from training.config.losses import LOSSES
from training.config.optimization import (
    OPTIMIZATION,
    AggregationConfig,
    AveragingConfig,
    BalancingConfig,
    BatchesConfig,
    BatchModeConfig,
    ConstantBalancingConfig,
    HoldConfig,
    PlainAggregationConfig,
    PlainSamplingConfig,
    SamplingConfig,
)
from training.config.pretraining import PretrainingConfig
from training.config.section import Section
from training.config.sharing import SHARING, SharingConfig
from training.config.tasks import TASKS, DataConfig, TaskConfig
from training.metrics import metric_names

Rate = Annotated[float, Field(gt=0, le=1)]


class EncoderConfig(Section):
    """The shared encoder. One tokenizer and one ``max_length`` for all tasks, or nothing could be shared."""

    model: str
    max_length: int = Field(default=128, ge=8)
    pooling: EncoderPooling = "mean"
    """Of tasks that name none, and of ``/v1/embeddings``."""
    train: Literal["full", "frozen"] = "full"
    frozen_layers: int = Field(default=0, ge=0)
    """Lowest layers that keep their weights, with the embeddings. Two of MiniLM's six leave 0.7 of a step's
    time on a CPU."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Of the encoder's layers; as the weights' own configuration says unless given."""
    attention_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Of the attention weights; likewise. On a CPU, 0 saves a tenth of a step or more."""
    store_bytes: int = Field(default=2**32, ge=0)
    """Of a frozen encoder's outputs, which are computed once and kept beside the run until it is finished; 0
    computes them at every step."""


class TrainingConfig(Section):
    """The loop. ``epochs`` counts passes over the examples of all tasks together; ``steps`` overrides it."""

    epochs: float = Field(default=3.0, gt=0)
    steps: int | None = Field(default=None, gt=0)
    """Optimizer steps."""
    batch_size: int = Field(default=32, gt=0)
    batches: BatchModeConfig = BatchesConfig()
    """One task a batch, one batch of every task, or both in cycles or phases."""
    sampling: SamplingConfig = PlainSamplingConfig()
    """Which task the next batch comes from."""
    example_sampling: Literal["in_turn", "mt_uncertainty"] = "in_turn"
    """Which of a metabatch's examples are learnt from: all, each once an epoch, or the most uncertain."""
    gradient_accumulation: int = Field(default=1, gt=0)
    """Backward passes a step; with an aggregation, the tasks' gradients among them are combined."""
    balancing: BalancingConfig = ConstantBalancingConfig()
    """How losses are weighed, beyond the tasks' own weights."""
    loss_scale: Literal["none", "initial", "chance"] = "none"
    """What a loss is divided by first: its first values, or the loss of a guess."""
    aggregation: AggregationConfig = PlainAggregationConfig()
    """How the tasks' gradients of the shared parameters become one."""
    hold: HoldConfig | None = None
    """Tasks that step only now and then."""
    learning_rate: Rate = 1e-3
    """Of the heads and of a sharing layer."""
    encoder_learning_rate: Rate = 5e-5
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the steps."""
    layer_decay: float | None = Field(default=None, gt=0, le=1)
    """Factor of the encoder's learning rate from a layer to the one below it."""
    unfreeze_every: int | None = Field(default=None, gt=0)
    """Steps after which one encoder layer more trains, from the top; all train at once by default."""
    averaging: AveragingConfig | None = None
    """An average of the weights is evaluated and saved instead of the last ones."""
    conflict_probe: bool = False
    """Whether each evaluation measures the cosines between the tasks' gradients on the same batches."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    evaluate_every: int | None = Field(default=None, gt=0)
    """Steps between evaluations on the selection split, each followed by a checkpoint; a tenth of the run."""


class SelectionConfig(Section):
    """How the best checkpoint is chosen: on rows set aside from train, so that dev stays for reporting."""

    fraction: float = Field(default=0.1, gt=0, lt=1)
    max_rows: int = Field(default=1000, gt=0)
    score: tuple[str, ...] | None = None
    """``task.metric`` entries whose mean is the joint score; every task's primary metric by default."""
    tolerance: float = Field(default=0.0, ge=0)
    """Checkpoints whose scores differ by no more are equally good, and the later one is chosen."""
    keep_task_best: bool = False
    """Whether the checkpoint where each task by itself was best is kept, too."""
    patience: int | None = Field(default=None, gt=0)
    """Evaluations without a better score before training stops."""


class Config(Section):
    """A whole YAML file: all that a training run is made of."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    seed: int = Field(default=0, ge=0)
    encoder: EncoderConfig
    sharing: SharingConfig | None = None
    """What stands between the encoder and the heads; nothing by default."""
    tasks: dict[str, TaskConfig] = Field(min_length=1)
    training: TrainingConfig = TrainingConfig()
    selection: SelectionConfig = SelectionConfig()
    pretraining: PretrainingConfig | None = None
    """Of ``python -m training pretrain``."""
    growth: GrowthConfig | None = None
    """What the run starts from, if not from pretrained weights alone."""

    @property
    def joint_score(self) -> tuple[str, ...]:
        """``task.metric`` entries of the selection score."""
        primary = {
            name: metric_names(task.kind, getattr(task, "scheme", None))[0]
            for name, task in self.tasks.items()
        }
        return self.selection.score or tuple(f"{name}.{metric}" for name, metric in primary.items())


UNION_MEMBERS: Mapping[str, type[BaseModel]] = {**TASKS, **HEADS, **LOSSES, **SHARING, **OPTIMIZATION}
SECTIONS: Mapping[str, type[BaseModel]] = {
    "data": DataConfig,
    "encoder": EncoderConfig,
    "growth": GrowthConfig,
    "pretraining": PretrainingConfig,
    "selection": SelectionConfig,
    "training": TrainingConfig,
}
