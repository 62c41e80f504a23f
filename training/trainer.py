"""The training loop, top to bottom."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from training.batches import ExampleStream, LabelledBatch, collate
from training.conflict_probe import ConflictProbe
from training.errors import TrainingError
from training.evaluation import Metrics, evaluate
from training.examples import EncodedExamples
from training.gradients import BatchLoss, GradientStep, StepReport
from training.model import MultitaskModel
from training.observing import Evaluation, Observer
from training.samplers import Sampler
from training.schedules.averaged_model import AveragedModel
from training.schedules.example_choice import MostUncertain
from training.schedules.listening import Listener
from training.schedules.thawing import Thawing
from training.seeding import mixed
from training.selection import EarlyStopping, joint_score
from training.sharing.gate_use import GateUse, watched_gates
from training.state import RandomState, Stateful, load_state, save_state
from training.tasks import Task

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """Numbers of the loop.

    Attributes:
        steps: Optimizer steps.
        gradient_accumulation: Backward passes a step.
        max_grad_norm: Clips the gradient of all parameters together.
        evaluate_every: Steps between evaluations, each followed by a checkpoint.
        batch_size: Of evaluation.
        score: ``task.metric`` entries of the joint score.
        seed: Of the whole run.
    """

    steps: int
    gradient_accumulation: int
    max_grad_norm: float
    evaluate_every: int
    batch_size: int
    score: tuple[str, ...]
    seed: int


class CheckpointWriter(Protocol):
    """Saves the run; ``training.assembly.run`` knows what a checkpoint holds."""

    def __call__(self, trainer: "Trainer", evaluation: Evaluation) -> None:
        """Write a checkpoint of the trainer's present state."""
        ...


class Trainer:
    """Trains a multitask model.

    Args:
        model: On the accelerator's device.
        tasks: By name, in the order of the file.
        train: Examples of each task.
        selection: Examples that choose the best checkpoint.
        streams: Batches of each task's train examples.
        sampler: Draws the tasks of a step.
        gradients: Losses of the tasks → gradient of the step.
        optimizer: As prepared by the accelerator.
        schedule: Stepped once an optimizer step.
        accelerator: Of Hugging Face accelerate.
        stopping: Remembers the best score.
        settings: Numbers of the loop.
        averaged: Evaluated and saved instead of the last weights, if given.
        thawing: Freezes and thaws the encoder's layers, if given.
        probe: Measures gradient conflict at each evaluation, if given.
        choose: Of the batches that a step's tasks offer, the examples to learn from; all if not given.
    """

    def __init__(
        self,
        *,
        model: MultitaskModel,
        tasks: Mapping[str, Task],
        train: Mapping[str, EncodedExamples],
        selection: Mapping[str, EncodedExamples],
        streams: Mapping[str, ExampleStream],
        sampler: Sampler,
        gradients: GradientStep,
        optimizer: Optimizer,
        schedule: LRScheduler,
        accelerator: Accelerator,
        stopping: EarlyStopping,
        settings: LoopSettings,
        averaged: AveragedModel | None = None,
        thawing: Thawing | None = None,
        probe: ConflictProbe | None = None,
        choose: MostUncertain | None = None,
    ) -> None:
        self.model = model
        self.settings = settings
        self.step = 0
        self._tasks = tasks
        self._train = train
        self._selection = selection
        self._streams = streams
        self._sampler = sampler
        self.gradients = gradients
        self._optimizer = optimizer
        self._schedule = schedule
        self._accelerator = accelerator
        self._stopping = stopping
        self._averaged = averaged
        self._thawing = thawing
        self._probe = probe
        self._choose = choose

    def fit(self, observer: Observer, write_checkpoint: CheckpointWriter) -> None:
        """Train until the last step or until patience runs out.

        Raises:
            TrainingError: If the run diverges.
        """
        self.model.train()
        while self.step < self.settings.steps and not self._stopping.should_stop:
            report = self._timed_step()
            self.step += 1
            observer.on_step(self.step, report, self._rates())
            if self.step % self.settings.evaluate_every == 0 or self.step == self.settings.steps:
                with self._averaged.lent() if self._averaged else nullcontext():
                    evaluation = self._evaluate()
                    # First, so that no checkpoint is ahead of what an observer wrote down.
                    observer.on_evaluation(evaluation)
                    write_checkpoint(self, evaluation)

    @property
    def batches(self) -> dict[str, int]:
        """Batches of each task that the run has learnt from; parts of one are added up."""
        if self._choose is not None:
            return {name: round(learnt) for name, learnt in self._choose.learnt.items()}
        return {name: stream.num_drawn for name, stream in self._streams.items()}

    def save_state(self, file: Path) -> None:
        """Save everything that resuming needs beside the model's weights."""
        save_state(file, self._parts(), step=self.step)

    def load_state(self, file: Path) -> None:
        """Continue from a saved place."""
        self.step = load_state(file, self._parts())

    def _timed_step(self) -> StepReport:
        wall, cpu = time.perf_counter(), time.process_time()
        report = self._train_step()
        return replace(report, wall_s=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)

    def _train_step(self) -> StepReport:
        if self._accelerator.num_processes > 1:
            # Every process drops other units, and a resumed one the same again.
            torch.manual_seed(mixed(self.settings.seed, self.step, self._accelerator.process_index))
        if self._thawing is not None:
            self._thawing.begin_step(self.step)
        probabilities = dict(self._sampler.probabilities)
        draws = [self.draw() for _ in range(self.settings.gradient_accumulation)]
        report = replace(self.gradients(draws, step=self.step), penalty=self._penalise())
        norm = self._accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self._check(report.losses, float(norm))
        self._optimizer.step()
        self._schedule.step()
        self.gradients.finish(draws)
        self._optimizer.zero_grad()
        if self._averaged is not None:
            self._averaged.end_step()
        if isinstance(self._sampler, Listener):
            self._sampler.end_step(report.losses)
        return replace(report, probabilities=probabilities)

    def _check(self, losses: Mapping[str, float], norm: float) -> None:
        """End a run that can learn nothing more, before its weights are spoilt."""
        if self._accelerator.scaler is not None:
            return  # it skips the steps of fp16 that overflow
        broken = [f"the loss of {name} is {loss}" for name, loss in losses.items() if not math.isfinite(loss)]
        if not broken and not math.isfinite(norm):
            broken = [f"the gradient's norm is {norm}"]
        if broken:
            raise TrainingError(
                f"step {self.step + 1}: {', '.join(broken)}, expected a finite number. The run has diverged: "
                "lower training.learning_rate and training.encoder_learning_rate, or max_grad_norm."
            )

    def _penalise(self) -> float | None:
        """Add the gradient of what the sharing layer costs, which no balancer weighs."""
        penalty = self.model.penalty()
        if penalty is None:
            return None
        # accelerate divides by the passes of a step, of which this is none.
        self._accelerator.backward(penalty * self.settings.gradient_accumulation)
        return float(penalty.detach())

    def draw(self) -> dict[str, BatchLoss]:
        """The losses of the tasks that come next, each on its next batch."""
        indices = {name: self._streams[name].next() for name in self._sampler.draw()}
        if self._choose is not None:
            indices = self._choose(indices)
        return {name: self._batch_loss(name, *self._own_part(name, each)) for name, each in indices.items()}

    def _batch_loss(self, name: str, batch: LabelledBatch, share: float) -> BatchLoss:
        def compute() -> Tensor:
            with self._accelerator.autocast():
                logits = self.model(name, batch.inputs)
            return share * self._tasks[name].kind.loss(logits.float(), batch)

        return compute

    def _own_part(self, name: str, indices: NDArray[np.int64]) -> tuple[LabelledBatch, float]:
        """This process's part of a task's batch, and its share of the batch's examples."""
        mine = indices[self._accelerator.process_index :: self._accelerator.num_processes]
        # A process without an example computes one for nothing: all must take part in the same sums.
        chosen = mine if len(mine) > 0 else indices[:1]
        batch = collate(self._train[name], chosen, pad_token_id=self.model.encoder.pad_token_id)
        return batch.to(self._accelerator.device), len(mine) / len(indices)

    def _evaluate(self) -> Evaluation:
        metrics, cosines, gates = self._on_one_process(self._measure)
        score = joint_score(metrics, self.settings.score)
        primary = {name: metrics[name][task.kind.metrics[0]] for name, task in self._tasks.items()}
        self.gradients.weighing.end_evaluation(primary)
        if isinstance(self._sampler, Listener):
            self._sampler.end_evaluation(primary, score)
        return Evaluation(
            step=self.step,
            metrics=metrics,
            score=score,
            is_best=self._stopping.update(score),
            cosines=cosines,
            gates=gates,
        )

    def _measure(self) -> tuple[Metrics, dict[tuple[str, str], float], dict[str, GateUse]]:
        with watched_gates(self.model.sharing) as gates:
            metrics = evaluate(self.model, self._tasks, self._selection, batch_size=self.settings.batch_size)
        return metrics, self._probe.measure() if self._probe is not None else {}, gates

    def _on_one_process(self, compute: Callable[[], T]) -> T:
        """What the main process computes, on every process."""
        found = [compute() if self._accelerator.is_main_process else None]
        result = broadcast_object_list(found)[0]
        return cast("T", result)

    def _rates(self) -> dict[str, float]:
        """The largest learning rate of each part of the model."""
        rates: dict[str, float] = {}
        for group in self._optimizer.param_groups:
            rates[group["part"]] = max(group["lr"], rates.get(group["part"], 0.0))
        return rates

    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful] = {
            "optimizer": self._optimizer,
            "schedule": self._schedule,
            "gradients": self.gradients,
            "weighing": self.gradients.weighing,
            "sampler": self._sampler,
            "stopping": self._stopping,
            "random": RandomState(),
        }
        parts |= {f"stream/{name}": stream for name, stream in self._streams.items()}
        if self._averaged is not None:
            parts["averaged"] = self._averaged
        if self._choose is not None:
            parts["choose"] = self._choose
        if self._accelerator.scaler is not None:
            parts["scaler"] = self._accelerator.scaler
        return parts
