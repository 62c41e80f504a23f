"""The YAML file's schema of multitask optimisation.

A method may be written as its name alone, and then has its default parameters. ``docs/optimization.md`` says
what each does and when to take it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field

from training.config.section import Section

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class PlainSamplingConfig(Section):
    """Samplers without parameters: by size, all alike, by its root, in turn, or epoch by epoch."""

    name: Literal["proportional", "uniform", "sqrt", "round_robin", "exhaust_and_restart", "mt_dnn"] = (
        "proportional"
    )


class TemperatureSamplingConfig(Section):
    """``p_i ∝ min(N_i, cap)^(1/T)``."""

    name: Literal["temperature"]
    T: float = Field(default=2.0, ge=1)
    """1 is proportional, large is uniform."""
    cap: Count | None = None
    """Examples beyond which a task counts as no larger."""


class AnnealedToUniformConfig(Section):
    """``p_i ∝ N_i^α`` with α falling from 1 (PALs)."""

    name: Literal["annealed_to_uniform"]
    epochs: Count = 25
    """Equal parts that the run is cut into."""
    final_exponent: Share = 0.2


class AnnealedToSizeConfig(Section):
    """``p_i = a·N_i/ΣN + (1−a)/n`` with ``a = min(1, epoch/reach)``: uniform at first, by size at the end."""

    name: Literal["annealed_to_size"]
    epochs: Count = 10
    """Equal parts that the run is cut into."""
    reach: Count = 5
    """The part from which on tasks are drawn by size."""


class FixedSamplingConfig(Section):
    """Probabilities as given, one for every task."""

    name: Literal["fixed"]
    probabilities: dict[str, Share]


class SequentialSamplingConfig(Section):
    """One task after the other, every epoch."""

    name: Literal["sequential"]
    order: tuple[str, ...] | None = None
    """Every task once; as in the file unless given."""


class StagedSamplingConfig(Section):
    """Tasks that enter one after the other and stay (ERNIE 2.0)."""

    name: Literal["staged"]
    stages: tuple[tuple[str, ...], ...] | None = None
    """Tasks by the stage that they enter in, every task once; one a stage, as in the file, unless given."""
    replay: float = Field(default=0.2, ge=0, lt=1)
    """Share of a task's batches in each stage after its first."""


class BatchesConfig(Section):
    """One task a batch, or one batch of every task and the weighted sum of their losses."""

    name: Literal["one_task", "metabatch"] = "one_task"


class CycleConfig(Section):
    """N batches of single tasks, then one metabatch."""

    name: Literal["cycle"]
    n: Count = 4


class TwoPhaseConfig(Section):
    """Metabatches until the joint score is flat, then single tasks, or N:1 cycles."""

    name: Literal["two_phase"]
    patience: Count = 2
    """Evaluations without a gain that end the first phase."""
    min_gain: float = Field(default=0.001, ge=0)
    """What counts as a gain of the joint score."""
    cycle: Count | None = None
    """N of the second phase's cycles; without it, single tasks alone."""


class ConstantBalancingConfig(Section):
    """Balancers without parameters: the plain weighted sum, random weights, the geometric mean."""

    name: Literal["constant", "random", "geometric_mean"] = "constant"


class UncertaintyConfig(Section):
    """``½·exp(−s_i)·L_i + ½·s_i`` with learned ``s_i``."""

    name: Literal["uncertainty"]
    learning_rate: Positive = 0.01
    """Of Adam on the ``s_i``, at a constant rate."""


class ImtlLConfig(Section):
    """``exp(s_i)·L_i − s_i`` with learned ``s_i``."""

    name: Literal["imtl_l"]
    learning_rate: Positive = 0.01


class DwaConfig(Section):
    """Dynamic Weight Average: by how slowly a loss falls from epoch to epoch."""

    name: Literal["dwa"]
    temperature: Positive = 2.0
    epoch_steps: Count | None = None
    """Optimizer steps of an "epoch"; a pass over all tasks' examples unless given."""


class GradNormConfig(Section):
    """GradNorm: weights that let tasks train at similar rates."""

    name: Literal["gradnorm"]
    alpha: float = Field(default=1.5, ge=0)
    learning_rate: Positive = 0.025


class DtpConfig(Section):
    """Dynamic Task Prioritization by the scores on the selection split."""

    name: Literal["dtp"]
    gamma: float = Field(default=1.0, ge=0)
    smoothing: float = Field(default=0.5, gt=0, le=1)
    """Share of a new score in the moving average."""


class StchConfig(Section):
    """Smooth Tchebycheff: a softmax of the losses."""

    name: Literal["stch"]
    mu: Positive = 0.1
    """Small is nearer to the largest loss."""


class FamoConfig(Section):
    """FAMO: equal relative progress; a second forward pass a step."""

    name: Literal["famo"]
    learning_rate: Positive = 0.025
    weight_decay: float = Field(default=1e-3, ge=0)


class CosmosConfig(Section):
    """The mean loss less a reward for equal losses."""

    name: Literal["cosmos"]
    penalty: float = Field(default=1.0, ge=0)


class PbiConfig(Section):
    """The losses' distance along their diagonal, and a penalty on the distance from it."""

    name: Literal["pbi"]
    theta: float = Field(default=1.0, ge=0)


class PlainAggregationConfig(Section):
    """Aggregators without parameters."""

    name: Literal[
        "sum", "mean", "pcgrad", "imtl_g", "upgrad", "dualproj", "conflict_free", "random", "graddrop"
    ] = "sum"


class CAGradConfig(Section):
    """Conflict-averse gradient descent: the best worst task near the mean gradient."""

    name: Literal["cagrad"]
    c: float = Field(default=0.4, ge=0, lt=1)
    """Radius of the ball around the mean gradient, in its norms."""


class GradVacConfig(Section):
    """Gradient vaccine: PCGrad toward a running target of the cosine."""

    name: Literal["gradvac"]
    beta: Share = 0.5
    """Share of a new cosine in the running target."""


class MgdaConfig(Section):
    """Multiple-gradient descent: the shortest vector of the gradients' convex hull."""

    name: Literal["mgda"]
    epsilon: Positive = 0.001
    max_iters: Count = 100


class NashMtlConfig(Section):
    """The bargaining solution. A convex program every so many steps: slow."""

    name: Literal["nash_mtl"]
    max_norm: float = Field(default=1.0, ge=0)
    update_weights_every: Count = 1
    optim_niter: Count = 20


class AlignedMtlConfig(Section):
    """Gradients made orthogonal and equally long."""

    name: Literal["aligned_mtl"]
    scale_mode: Literal["min", "median", "rmse"] = "min"


class FairGradConfig(Section):
    """α-fair resource allocation."""

    name: Literal["fairgrad"]
    alpha: Positive = 1.0


class PcdConfig(Section):
    """The first task's gradient, with progress guaranteed to the others."""

    name: Literal["pcd"]
    tau: Share = 0.02
    beta: float = Field(default=0.999, ge=0, lt=1)


class ExcessMtlConfig(Section):
    """Weights by excess risk. Keeps another matrix of the size of all tasks' gradients."""

    name: Literal["excess_mtl"]
    robust_step_size: Positive = 1.0
    n_warmup_steps: int = Field(default=0, ge=0)


class StopAndGoConfig(Section):
    """Holds tasks whose score has plateaued (12-in-1)."""

    name: Literal["stop_and_go"]
    every: Count = 4
    """A held task steps at every so many of its turns."""
    min_gain: float = Field(default=0.001, ge=0)
    """Relative, of the best score."""
    patience: int = Field(default=1, ge=0)
    max_loss: float = Field(default=0.005, ge=0)
    """A held task goes again when its score falls so far, relatively, below its best."""
    cooldown: int = Field(default=1, ge=0)


class FarAheadConfig(Section):
    """Holds tasks whose loss has fallen much further than the others'."""

    name: Literal["far_ahead"]
    every: Count = 4
    margin: Positive = 0.2
    """In shares of the initial loss."""


class EmaConfig(Section):
    """An exponential moving average of the weights."""

    name: Literal["ema"]
    decay: float = Field(default=0.999, gt=0, lt=1)


class CheckpointAverageConfig(Section):
    """The mean of the weights at the last evaluations."""

    name: Literal["checkpoints"]
    count: Count = 3


def _by_name(given: object) -> object:
    return {"name": given} if isinstance(given, str) else given


SamplingConfig = Annotated[
    PlainSamplingConfig
    | TemperatureSamplingConfig
    | AnnealedToUniformConfig
    | AnnealedToSizeConfig
    | FixedSamplingConfig
    | SequentialSamplingConfig
    | StagedSamplingConfig,
    Field(discriminator="name"),
    BeforeValidator(_by_name),
]
BatchModeConfig = Annotated[
    BatchesConfig | CycleConfig | TwoPhaseConfig, Field(discriminator="name"), BeforeValidator(_by_name)
]
BalancingConfig = Annotated[
    ConstantBalancingConfig
    | UncertaintyConfig
    | ImtlLConfig
    | DwaConfig
    | GradNormConfig
    | DtpConfig
    | StchConfig
    | FamoConfig
    | CosmosConfig
    | PbiConfig,
    Field(discriminator="name"),
    BeforeValidator(_by_name),
]
AggregationConfig = Annotated[
    PlainAggregationConfig
    | CAGradConfig
    | GradVacConfig
    | MgdaConfig
    | NashMtlConfig
    | AlignedMtlConfig
    | FairGradConfig
    | PcdConfig
    | ExcessMtlConfig,
    Field(discriminator="name"),
    BeforeValidator(_by_name),
]
HoldConfig = Annotated[
    StopAndGoConfig | FarAheadConfig, Field(discriminator="name"), BeforeValidator(_by_name)
]
AveragingConfig = Annotated[
    EmaConfig | CheckpointAverageConfig, Field(discriminator="name"), BeforeValidator(_by_name)
]


def _named(*sections: type[Section]) -> dict[str, type[BaseModel]]:
    """Every name that a section stands for."""
    return {
        name: section for section in sections for name in get_args(section.model_fields["name"].annotation)
    }


_UNIONS = (
    SamplingConfig,
    BatchModeConfig,
    BalancingConfig,
    AggregationConfig,
    HoldConfig,
    AveragingConfig,
)
NEEDS_EVERY_TASK = frozenset({"cosmos", "famo", "geometric_mean", "gradnorm", "pbi", "random", "stch"})
"""Balancers that weigh a loss by all the others."""
OPTIMIZATION: Mapping[str, type[BaseModel]] = _named(
    *(section for union in _UNIONS for section in get_args(get_args(union)[0]))
)
"""Names that pydantic puts into the place of a fault, and the section each means."""
