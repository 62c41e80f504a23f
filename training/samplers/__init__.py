"""Which tasks the next batches come from. Sizes count examples, not batches.

name                  p_i of the next batch                                      source
proportional          N_i / ΣN
uniform               1 / n
temperature           ∝ min(N_i, cap)^(1/T)                                      T5
sqrt                  ∝ √N_i
annealed_to_uniform   ∝ N_i^α, α from 1 to 0.2 over the run                      PALs
annealed_to_size      from 1/n to N_i/ΣN over the first epochs
fixed                 as given                                                   UniT
round_robin           in turn; small tasks start over at once
sequential            one task's batches after the other's, every epoch
exhaust_and_restart   in turn; a task that is used up waits for the others
mt_dnn                all tasks' batches of an epoch, shuffled                   MT-DNN
"""

from collections.abc import Mapping

from training.samplers.base import Sampler
from training.samplers.factory import SamplerFactory
from training.samplers.turns import EveryTaskSampler, RoundRobinSampler

__all__ = ["EveryTaskSampler", "RoundRobinSampler", "Sampler", "SamplerFactory", "build_sampler"]


def build_sampler(name: str, sizes: Mapping[str, int], *, temperature: float, seed: int) -> Sampler:
    """Build a sampler that needs nothing but sizes.

    Args:
        name: ``proportional``, ``uniform``, ``temperature`` or ``round_robin``.
        sizes: Examples of each task.
        temperature: Used by ``temperature`` alone.
        seed: Of the whole run.
    """
    factory = SamplerFactory(sizes=sizes, batch_size=1, draws=1, seed=seed)
    named = {
        "proportional": factory.proportional,
        "uniform": factory.uniform,
        "temperature": lambda: factory.tempered(temperature=temperature),
        "round_robin": factory.round_robin,
    }
    return named[name]()
