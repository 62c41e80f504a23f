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
staged                stage by stage, in each the tasks that have entered         ERNIE 2.0
exhaust_and_restart   in turn; a task that is used up waits for the others
mt_dnn                all tasks' batches of an epoch, shuffled                   MT-DNN
"""

from training.samplers.base import Sampler
from training.samplers.factory import SamplerFactory
from training.samplers.turns import EveryTaskSampler, RoundRobinSampler

__all__ = ["EveryTaskSampler", "RoundRobinSampler", "Sampler", "SamplerFactory"]
