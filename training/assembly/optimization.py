"""Configuration → samplers, balancers, aggregators and the rest of multitask optimisation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from accelerate import Accelerator
from torch import nn

from training.aggregation import METHODS, build_aggregator
from training.balancing import Balancer, BalancerFactory, FixedScale, InitialScale, LossScale, LossWeighing
from training.balancing.scale import SMALLEST
from training.config.optimization import (
    AveragingConfig,
    BatchesConfig,
    CycleConfig,
    EmaConfig,
    HoldConfig,
    StopAndGoConfig,
    TwoPhaseConfig,
)
from training.config.schema import TrainingConfig
from training.errors import ConfigError
from training.gradients import CombinedGradients, GradientStep, SummedGradients
from training.model import MultitaskModel
from training.samplers import Sampler, SamplerFactory
from training.schedules.averaging import CheckpointAverage, ExponentialAverage, WeightAverage
from training.schedules.depth import depths_of
from training.schedules.far_ahead import FarAhead
from training.schedules.holding import HoldingRule, HoldingSampler
from training.schedules.phases import CycleSampler, Plateau, TwoPhaseSampler
from training.schedules.stop_and_go import StopAndGo, StopAndGoSettings

INITIAL_LOSSES = 10
"""First losses of a task whose mean is its initial loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a run that methods are built by.

    Attributes:
        sizes: Examples of each task as samplers count them, in the order of the file.
        steps: Optimizer steps.
        seed: Of the whole run.
    """

    sizes: Mapping[str, int]
    steps: int
    seed: int


def batches_a_draw(training: TrainingConfig, num_tasks: int) -> float:
    """Batches that a draw of the sampler has on average; of two phases, in the first."""
    batches = training.batches
    if isinstance(batches, CycleConfig):
        return (batches.n + num_tasks) / (batches.n + 1)
    if isinstance(batches, TwoPhaseConfig) or batches.name == "metabatch":
        return num_tasks
    return 1


def steps_of_a_pass(training: TrainingConfig, sizes: Mapping[str, int]) -> float:
    """Optimizer steps of one pass over the examples of all tasks."""
    batches_a_step = training.gradient_accumulation * batches_a_draw(training, len(sizes))
    return sum(sizes.values()) / (training.batch_size * batches_a_step)


def build_sampler(training: TrainingConfig, shape: Shape) -> Sampler:
    """The run's sampler: of single tasks, of all at once, in cycles or phases, with some held back."""
    factory = SamplerFactory(
        sizes=shape.sizes,
        batch_size=training.batch_size,
        draws=shape.steps * training.gradient_accumulation,
        seed=shape.seed,
    )
    sampler = _by_batches(training, factory)
    if training.hold is None:
        return sampler
    rule = _build_rule(training.hold, list(shape.sizes))
    return HoldingSampler(sampler, rule, every=training.hold.every)


def build_weighing(
    training: TrainingConfig, shape: Shape, *, weights: Mapping[str, float], chances: Mapping[str, float]
) -> LossWeighing:
    """The run's balancer behind the tasks' weights and loss scales.

    Args:
        training: Of the run.
        shape: Of the run.
        weights: Declared ones of the tasks.
        chances: Loss of a guess, of each task.

    Raises:
        ConfigError: If a loss is to be divided by one that is nearly 0.
    """
    if training.loss_scale == "chance":
        _check_chances(chances)
    ones = dict.fromkeys(shape.sizes, 1.0)
    scales: Mapping[str, Callable[[], LossScale]] = {
        "none": lambda: FixedScale(ones),
        "chance": lambda: FixedScale(chances),
        "initial": lambda: InitialScale(steps=INITIAL_LOSSES),
    }
    return LossWeighing(
        weights=weights, scale=scales[training.loss_scale](), balancer=_build_balancer(training, shape)
    )


def build_gradient_step(
    training: TrainingConfig,
    model: MultitaskModel,
    *,
    weighing: LossWeighing,
    accelerator: Accelerator,
    seed: int,
) -> GradientStep:
    """The plain sum in one backward pass, or one pass a task for an aggregator."""
    last_layer = _last_layer(model)
    aggregation = training.aggregation
    if aggregation.name == "sum":
        return SummedGradients(
            parameters=[p for p in model.parameters() if p.requires_grad],
            weighing=weighing,
            accelerator=accelerator,
            last_layer=last_layer,
            seed=seed,
        )
    parameters = aggregation.model_dump(exclude={"name"})
    return CombinedGradients(
        shared=model.shared_parameters,
        own=model.own_parameters,
        users=model.users,
        aggregator=build_aggregator(aggregation.name, len(model.heads), parameters),
        keep_zero_rows=METHODS[aggregation.name].needs_every_task,
        weighing=weighing,
        accelerator=accelerator,
        last_layer=last_layer,
        seed=seed,
    )


def build_average(config: AveragingConfig | None) -> WeightAverage | None:
    """The average of the weights that counts instead of the last ones, if any."""
    if config is None:
        return None
    if isinstance(config, EmaConfig):
        return ExponentialAverage(decay=config.decay)
    return CheckpointAverage(count=config.count)


def _by_batches(training: TrainingConfig, factory: SamplerFactory) -> Sampler:
    batches = training.batches
    if isinstance(batches, CycleConfig):
        # A plan of single tasks is to be played to its end by the draws that the cycle leaves it.
        singles = max(1, CycleSampler.draws_of_often(factory.draws, n=batches.n))
        single = _build_single(training, replace(factory, draws=singles))
        return CycleSampler(single, factory.metabatch(), n=batches.n)
    if isinstance(batches, TwoPhaseConfig):
        single = _build_single(training, factory)
        second = (
            single if batches.cycle is None else CycleSampler(single, factory.metabatch(), n=batches.cycle)
        )
        plateau = Plateau(patience=batches.patience, min_gain=batches.min_gain)
        return TwoPhaseSampler(factory.metabatch(), second, plateau)
    assert isinstance(batches, BatchesConfig)  # noqa: S101 - the schema has no other
    return factory.metabatch() if batches.name == "metabatch" else _build_single(training, factory)


def _build_single(training: TrainingConfig, factory: SamplerFactory) -> Sampler:
    sampling = training.sampling
    builders: Mapping[str, Callable[..., Sampler]] = {
        "proportional": factory.proportional,
        "uniform": factory.uniform,
        "sqrt": factory.sqrt,
        "temperature": lambda T, cap: factory.tempered(temperature=T, cap=cap),  # noqa: N803 - the file's
        "annealed_to_uniform": factory.annealed_to_uniform,
        "annealed_to_size": factory.annealed_to_size,
        "fixed": factory.fixed,
        "round_robin": factory.round_robin,
        "sequential": factory.sequential,
        "staged": factory.staged,
        "exhaust_and_restart": factory.exhaust_and_restart,
        "mt_dnn": factory.mt_dnn,
    }
    return builders[sampling.name](**sampling.model_dump(exclude={"name"}))


def _check_chances(chances: Mapping[str, float]) -> None:
    faults = [
        f"training.loss_scale: the values of tasks.{task} are nearly all alike, so that a guess loses "
        f"{loss:.2g}: nothing to divide by; set initial or none"
        for task, loss in chances.items()
        if loss < SMALLEST
    ]
    if faults:
        raise ConfigError("the configuration", faults)


def _build_balancer(training: TrainingConfig, shape: Shape) -> Balancer:
    factory = BalancerFactory(
        tasks=list(shape.sizes), epoch_steps=max(1, round(steps_of_a_pass(training, shape.sizes)))
    )
    builders: Mapping[str, Callable[..., Balancer]] = {
        "constant": factory.constant,
        "uncertainty": factory.uncertainty,
        "imtl_l": factory.imtl_l,
        "dwa": factory.dwa,
        "gradnorm": factory.gradnorm,
        "dtp": factory.dtp,
        "random": factory.random,
        "geometric_mean": factory.geometric_mean,
        "stch": factory.stch,
        "famo": factory.famo,
        "cosmos": factory.cosmos,
        "pbi": factory.pbi,
    }
    return builders[training.balancing.name](**training.balancing.model_dump(exclude={"name"}))


def _build_rule(config: HoldConfig, tasks: Sequence[str]) -> HoldingRule:
    if isinstance(config, StopAndGoConfig):
        settings = StopAndGoSettings(**config.model_dump(exclude={"name", "every"}))
        return StopAndGo(tasks, settings)
    return FarAhead(tasks, margin=config.margin)


def _last_layer(model: MultitaskModel) -> list[nn.Parameter]:
    """What every task uses nearest to its head: parameters of the sharing layer, or the encoder's last."""
    common = [p for p, tasks in model.users.items() if p.requires_grad and len(tasks) == len(model.heads) > 1]
    if common:
        return common
    named = dict(model.encoder.named_parameters())
    depths = depths_of(named)
    top = max(depths.values(), default=0)
    return [p for name, p in named.items() if p.requires_grad and depths[name] == top]
