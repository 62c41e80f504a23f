"""Inter-task affinity: what a step on one task does to the loss of another.

    Z_{i→j} = 1 − L_j(θ − η·∇L_i(θ), θ_j) / L_j(θ, θ_j)

of the shared parameters θ alone, measured along one joint run and averaged over it: equation 1 of Fifty et
al. 2021, "Efficiently Identifying Task Groupings for Multi-Task Learning", https://arxiv.org/abs/2109.04617.
Above 0, a step on task i also lowers the loss of task j.

Deviations: both losses are taken without dropout, on the same examples; and since the rate of an adaptive
optimizer is none of a plain gradient step, η is a number of its own, and the gradient is clipped as in the
run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.batches import ExampleStream, collate
from training.examples import EncodedExamples
from training.gradients import StepReport
from training.model import MultitaskModel
from training.observing import Evaluation
from training.tasks import Task

Affinities = dict[tuple[str, str], float]
"""``Z`` by the task that steps and the task whose loss is measured."""
Compute = Callable[[], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookahead:
    """The step that is tried.

    Attributes:
        rate: η.
        max_grad_norm: Longer gradients are shortened to it.
    """

    rate: float
    max_grad_norm: float


def inter_task_affinity(
    losses: Mapping[str, Compute], shared: Sequence[nn.Parameter], lookahead: Lookahead
) -> Affinities:
    """Affinity of every ordered pair of tasks, a task with itself included.

    Args:
        losses: Of each task on one batch; the same each time it is computed.
        shared: Parameters that step. They are left as they were, to the last bit.
        lookahead: The step.

    Returns:
        0 for a task whose loss is 0.
    """
    with torch.no_grad():
        before = {name: float(compute()) for name, compute in losses.items()}
    found: Affinities = {}
    for name, compute in losses.items():
        gradient = torch.autograd.grad(compute(), shared, allow_unused=True, materialize_grads=True)
        with _stepped(shared, gradient, lookahead), torch.no_grad():
            for other, compute_other in losses.items():
                after = float(compute_other())
                found[name, other] = 1 - after / before[other] if before[other] else 0.0
    return found


class AffinityProbe:
    """Measures affinities on fresh training batches every so many steps. Use it as an observer.

    Args:
        model: That trains.
        tasks: By name.
        train: Examples of each task.
        batch_sizes: Of each task's batches.
        every: Steps from one measurement to the next.
        lookahead: The step that is tried.
        seed: Of the batches: others than those that the run learns from at the time.
    """

    def __init__(
        self,
        model: MultitaskModel,
        tasks: Mapping[str, Task],
        train: Mapping[str, EncodedExamples],
        *,
        batch_sizes: Mapping[str, int],
        every: int,
        lookahead: Lookahead,
        seed: int,
    ) -> None:
        self._model = model
        self._tasks = tasks
        self._train = train
        self._streams = {
            name: ExampleStream(f"affinity of {name}", data.lengths, batch_size=batch_sizes[name], seed=seed)
            for name, data in train.items()
        }
        self._every = every
        self._lookahead = lookahead
        self.measured: dict[int, Affinities] = {}

    def on_step(self, step: int, report: StepReport, rates: Mapping[str, float]) -> None:  # noqa: ARG002
        """Measure, if it is time."""
        if step % self._every == 0:
            self.measured[step] = self._measure()

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """Nothing to measure."""

    def _measure(self) -> Affinities:
        shared = self._model.shared_parameters
        was_training = self._model.training
        self._model.eval()
        found = inter_task_affinity(
            {name: self._loss(name, shared[0].device) for name in self._tasks}, shared, self._lookahead
        )
        self._model.train(was_training)
        return found

    def _loss(self, name: str, device: torch.device) -> Compute:
        indices, pad_token_id = self._streams[name].next(), self._model.encoder.pad_token_id
        batch = collate(self._train[name], indices, pad_token_id=pad_token_id).to(device)
        return lambda: self._tasks[name].kind.loss(self._model(name, batch.inputs).float(), batch)


def mean_affinities(measured: Sequence[Affinities]) -> Affinities:
    """Over the measurements of a run, of which there is at least one."""
    return {pair: sum(each[pair] for each in measured) / len(measured) for pair in measured[0]}


@contextmanager
def _stepped(
    shared: Sequence[nn.Parameter], gradient: Sequence[Tensor], lookahead: Lookahead
) -> Iterator[None]:
    norm = float(torch.stack([part.norm() for part in gradient]).norm())
    length = lookahead.rate * min(1.0, lookahead.max_grad_norm / norm if norm else 1.0)
    kept = [parameter.detach().clone() for parameter in shared]
    try:
        with torch.no_grad():
            for parameter, part in zip(shared, gradient, strict=True):
                parameter.sub_(part, alpha=length)
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(shared, kept, strict=True):
                parameter.copy_(value)
