"""The training loop, top to bottom."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchjd.scalarization import Scalarizer

from training.batches import ExampleStream, LabelledBatch, collate
from training.evaluation import Metrics, evaluate
from training.examples import EncodedExamples
from training.model import MultitaskModel
from training.samplers import Sampler
from training.selection import EarlyStopping, joint_score
from training.state import RandomState, Stateful, load_state, save_state
from training.tasks import Task


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
    """

    steps: int
    gradient_accumulation: int
    max_grad_norm: float
    evaluate_every: int
    batch_size: int
    score: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What an evaluation on the selection split found."""

    step: int
    metrics: Metrics
    score: float
    is_best: bool


class Observer(Protocol):
    """Watches a run: a progress bar, TensorBoard, a test."""

    def on_step(self, step: int, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        """After an optimizer step.

        Args:
            step: Steps done.
            losses: Of the tasks that the step drew, unweighted.
            rates: Learning rates by ``encoder`` and ``heads``.
        """
        ...

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """After an evaluation."""
        ...


class CheckpointWriter(Protocol):
    """Saves the run; ``training.build`` knows what a checkpoint holds."""

    def __call__(self, trainer: "Trainer", evaluation: Evaluation) -> None:
        """Write a checkpoint of the trainer's present state."""
        ...


class Trainer:
    """Trains a multitask model.

    Args:
        model: On the accelerator's device.
        tasks: By name, in the order of the scalarizer's losses.
        train: Examples of each task.
        selection: Examples that choose the best checkpoint.
        streams: Batches of each task's train examples.
        sampler: Draws the tasks of a step.
        scalarizer: Losses of all tasks → one loss.
        optimizer: As prepared by the accelerator.
        schedule: Stepped once an optimizer step.
        accelerator: Of Hugging Face accelerate.
        stopping: Remembers the best score.
        settings: Numbers of the loop.
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
        scalarizer: Scalarizer,
        optimizer: Optimizer,
        schedule: LRScheduler,
        accelerator: Accelerator,
        stopping: EarlyStopping,
        settings: LoopSettings,
    ) -> None:
        self.model = model
        self.settings = settings
        self.step = 0
        self._tasks = tasks
        self._train = train
        self._selection = selection
        self._streams = streams
        self._sampler = sampler
        self._scalarizer = scalarizer
        self._optimizer = optimizer
        self._schedule = schedule
        self._accelerator = accelerator
        self._stopping = stopping

    def fit(self, observer: Observer, write_checkpoint: CheckpointWriter) -> None:
        """Train until the last step or until patience runs out."""
        self.model.train()
        while self.step < self.settings.steps and not self._stopping.should_stop:
            losses = self._train_step()
            self.step += 1
            observer.on_step(self.step, losses, self._rates())
            if self.step % self.settings.evaluate_every == 0 or self.step == self.settings.steps:
                evaluation = self._evaluate()
                write_checkpoint(self, evaluation)
                observer.on_evaluation(evaluation)

    @property
    def batches(self) -> dict[str, int]:
        """Batches of each task that the run has learnt from."""
        return {name: stream.num_drawn for name, stream in self._streams.items()}

    def save_state(self, file: Path) -> None:
        """Save everything that resuming needs beside the model's weights."""
        save_state(file, self._parts(), step=self.step)

    def load_state(self, file: Path) -> None:
        """Continue from a saved place."""
        self.step = load_state(file, self._parts())

    def _train_step(self) -> dict[str, float]:
        totals: dict[str, list[float]] = {}
        for _ in range(self.settings.gradient_accumulation):
            losses = self._losses(self._sampler.draw())
            for name, loss in losses.items():
                totals.setdefault(name, []).append(float(loss.detach()))
            self._accelerator.backward(self._scalarizer(self._in_order(losses)))
        self._accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()
        return {name: sum(values) / len(values) for name, values in totals.items()}

    def _losses(self, names: tuple[str, ...]) -> dict[str, Tensor]:
        losses = {}
        for name in names:
            task, batch = self._tasks[name], self._next_batch(name)
            with self._accelerator.autocast():
                logits = self.model(name, batch.inputs)
            losses[name] = task.kind.loss(logits.float(), batch)
        return losses

    def _next_batch(self, name: str) -> LabelledBatch:
        indices = self._streams[name].next()
        batch = collate(self._train[name], indices, pad_token_id=self.model.encoder.pad_token_id)
        return batch.to(self._accelerator.device)

    def _in_order(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Losses of all tasks; 0 for those that were not drawn. Shape ``(num_tasks,)``."""
        zero = torch.zeros((), device=self._accelerator.device)
        return torch.stack([losses.get(name, zero) for name in self._tasks])

    def _evaluate(self) -> Evaluation:
        metrics = evaluate(self.model, self._tasks, self._selection, batch_size=self.settings.batch_size)
        score = joint_score(metrics, self.settings.score)
        return Evaluation(step=self.step, metrics=metrics, score=score, is_best=self._stopping.update(score))

    def _rates(self) -> dict[str, float]:
        rates = [group["lr"] for group in self._optimizer.param_groups]
        return {"encoder": rates[0], "heads": rates[-1]} if self.model.train_encoder else {"heads": rates[-1]}

    def _parts(self) -> dict[str, Stateful]:
        parts: dict[str, Stateful] = {
            "optimizer": self._optimizer,
            "schedule": self._schedule,
            "scalarizer": self._scalarizer,
            "sampler": self._sampler,
            "stopping": self._stopping,
            "random": RandomState(),
        }
        parts |= {f"stream/{name}": stream for name, stream in self._streams.items()}
        if self._accelerator.scaler is not None:
            parts["scaler"] = self._accelerator.scaler
        return parts
