"""The samplers of a run, by their names in the YAML file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.samplers.base import Sampler
from training.samplers.epochs import EpochSampler, batches_an_epoch, exhausting, packed, sequential
from training.samplers.probabilities import (
    annealed_to_size,
    annealed_to_uniform,
    power,
    tempered,
    uniform,
)
from training.samplers.stages import Stage, StagedSampler, budgets_of, split_over_stages
from training.samplers.turns import EveryTaskSampler, RoundRobinSampler
from training.samplers.weighted import WeightedSampler, by_epoch, constant


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerFactory:
    """Builds the samplers of one run by their names in the YAML file.

    Attributes:
        sizes: Examples of each task, in the order of the file.
        batch_size: Examples a batch.
        draws: That a sampler will be asked for in the whole run.
        seed: Of the whole run.
    """

    sizes: Mapping[str, int]
    batch_size: int
    draws: int
    seed: int

    def proportional(self) -> Sampler:
        """``p_i = N_i / ΣN``."""
        return self._weighted(constant(power(self.sizes, 1.0)))

    def uniform(self) -> Sampler:
        """``p_i = 1 / n``."""
        return self._weighted(constant(uniform(self.sizes)))

    def tempered(self, *, temperature: float, cap: int | None = None) -> Sampler:
        """``p_i ∝ min(N_i, cap)^(1/temperature)``."""
        return self._weighted(constant(tempered(self.sizes, temperature, cap=cap)))

    def sqrt(self) -> Sampler:
        """``p_i ∝ √N_i``."""
        return self._weighted(constant(power(self.sizes, 0.5)))

    def annealed_to_uniform(self, *, epochs: int, final_exponent: float) -> Sampler:
        """By size at first, nearly uniform at the end."""
        return self._weighted(
            by_epoch(
                lambda epoch: annealed_to_uniform(
                    self.sizes, epoch + 1, epochs=epochs, final_exponent=final_exponent
                ),
                epochs=epochs,
                draws=self.draws,
            )
        )

    def annealed_to_size(self, *, epochs: int, reach: int) -> Sampler:
        """Uniform at first, by size from epoch ``reach`` on."""
        return self._weighted(
            by_epoch(
                lambda epoch: annealed_to_size(self.sizes, epoch, reach=reach),
                epochs=epochs,
                draws=self.draws,
            )
        )

    def fixed(self, *, probabilities: Mapping[str, float]) -> Sampler:
        """As given, a probability for every task."""
        return self._weighted(constant({name: probabilities[name] for name in self.sizes}))

    def round_robin(self) -> Sampler:
        """In turn; a task whose examples are used up starts over at once."""
        return RoundRobinSampler(list(self.sizes))

    def sequential(self, *, order: Sequence[str] | None = None) -> Sampler:
        """All batches of one task, then all of the next; the same again in the next epoch."""
        return self._epochs(lambda _: sequential(self._batches, order or list(self.sizes)))

    def staged(self, *, stages: Sequence[Stage] | None = None, replay: float) -> Sampler:
        """Stage by stage, in each the tasks that have entered."""
        budgets = budgets_of(self.sizes, self.draws)
        plan = split_over_stages(budgets, stages or [(name,) for name in self.sizes], replay=replay)
        return StagedSampler(plan, list(self.sizes), seed=self.seed)

    def exhaust_and_restart(self) -> Sampler:
        """In turn; a task whose examples are used up waits for the others."""
        return self._epochs(lambda _: exhausting(self._batches))

    def mt_dnn(self) -> Sampler:
        """All tasks' batches of an epoch, shuffled: each example once an epoch (MT-DNN)."""
        return self._epochs(lambda generator: packed(self._batches, generator))

    def metabatch(self) -> Sampler:
        """Every task in every draw."""
        return EveryTaskSampler(list(self.sizes))

    @property
    def _batches(self) -> dict[str, int]:
        return batches_an_epoch(self.sizes, self.batch_size)

    def _weighted(self, probabilities: Callable[[int], Mapping[str, float]]) -> Sampler:
        return WeightedSampler(probabilities, seed=self.seed)

    def _epochs(self, plan: Callable[[np.random.Generator], Sequence[str]]) -> Sampler:
        return EpochSampler(list(self.sizes), plan, seed=self.seed)
