"""Configuration → a trainer with everything that its run needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from training.assembly.data import RunData, batch_sizes, build_data, sampling_sizes
from training.assembly.optimization import (
    Shape,
    build_average,
    build_gradient_step,
    build_sampler,
    build_weighing,
    steps_of_a_pass,
)
from training.assembly.origins import Origin, find_origin
from training.assembly.trained import UNREADABLE, build_model
from training.batches import ExampleStream
from training.chance import loss_of_a_guess
from training.checkpoint import (
    CONFIG_FILE,
    ENCODER_FOLDER,
    MODEL_FILE,
    STATE_FILE,
    TOKENIZER_FILE,
    RunFolder,
    read_metrics,
    write_metrics,
)
from training.config.file import dump_config
from training.config.optimization import FixedSamplingConfig
from training.config.schema import Config, TrainingConfig
from training.conflict_probe import ConflictProbe
from training.encoding import Encoder
from training.errors import CheckpointError, ConfigError
from training.gradients import GradientStep
from training.growth import replay_probabilities
from training.model import MultitaskModel
from training.observing import Evaluation
from training.optimization import build_optimizer, build_schedule
from training.processes import this_process
from training.schedules.averaged_model import AveragedModel
from training.schedules.depth import count_layers
from training.schedules.example_choice import MostUncertain
from training.schedules.thawing import Thawing
from training.selection import EarlyStopping
from training.tokenization import build_tokenizer
from training.trainer import LoopSettings, Trainer

EVALUATION_BATCH_SIZE = 64
EVALUATIONS_A_RUN = 10
PROBED_EXAMPLES = 32
"""Of each task, whatever the batch size: so that probes of different runs compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A trainer with what its checkpoints need.

    Attributes:
        trainer: Before its first step, or where it was resumed.
        config: Complete: with the labels that were found in the data.
        tokenizer: Of the encoder.
        folder: Of the run.
        data: What it learns from and is judged by.
    """

    trainer: Trainer
    config: Config
    tokenizer: Tokenizer
    folder: RunFolder
    data: RunData

    def write_checkpoint(self, trainer: Trainer, evaluation: Evaluation) -> None:
        """Save model and state under ``checkpoints/``; of several processes, the main one alone."""
        if not this_process().is_main_process:
            return

        def write(folder: Path) -> None:
            save_file({k: v.contiguous() for k, v in trainer.model.state_dict().items()}, folder / MODEL_FILE)
            (folder / CONFIG_FILE).write_text(dump_config(self.config), encoding="utf-8")
            trainer.model.encoder.save_description(folder / ENCODER_FOLDER)
            (folder / TOKENIZER_FILE).parent.mkdir()
            self.tokenizer.save(str(folder / TOKENIZER_FILE), pretty=False)
            write_metrics(folder, {"step": evaluation.step, "score": evaluation.score,
                                   "parameters": trainer.model.num_trained, "batches": trainer.batches,
                                   "selection": evaluation.metrics})  # fmt: skip
            trainer.save_state(folder / STATE_FILE)

        best_of = self._best_of(evaluation) if self.config.selection.keep_task_best else []
        self.folder.save(trainer.step, write, is_best=evaluation.is_best, best_of=best_of)

    def _best_of(self, evaluation: Evaluation) -> list[str]:
        """Tasks that are better than in the checkpoint that is kept for them."""
        index = self.folder.index
        kept = index.task_best if index is not None else {}

        def before(task: str) -> float:
            metrics = read_metrics(self.folder.folder(kept[task]))["selection"][task]
            return float(next(iter(metrics.values())))

        return [
            task for task, score in evaluation.primary.items() if task not in kept or score > before(task)
        ]

    def resume(self) -> None:
        """Continue from the last checkpoint, if there is one."""
        index = self.folder.index
        if index is None:
            return
        checkpoint = self.folder.folder(index.last)
        try:
            self.trainer.model.load_state_dict(load_file(checkpoint / MODEL_FILE))
            self.trainer.load_state(checkpoint / STATE_FILE)
        except (*UNREADABLE, EOFError, KeyError, UnpicklingError) as error:
            raise CheckpointError(f"{checkpoint} cannot be resumed from: {error}") from error


def build_run(config: Config, folder: RunFolder) -> Run:
    """Load data and weights and build the trainer.

    Raises:
        TrainingError: For anything in data or weights that the user can correct.
    """
    process = this_process()  # joined our way: the accelerator keeps to it
    if config.training.mixed_precision == "fp16" and process.device.type == "cpu":
        raise ConfigError(config.name, ["training.mixed_precision: fp16 needs a GPU; set bf16 or no"])
    origin = find_origin(config)
    tokenizer = build_tokenizer(origin.tokenizer_json, config.encoder.max_length)
    data = build_data(config, tokenizer)
    config = data.config

    torch.manual_seed(config.seed)
    model = _build_checked_model(config, origin)
    accelerator = Accelerator(
        mixed_precision=config.training.mixed_precision,
        gradient_accumulation_steps=config.training.gradient_accumulation,
    )
    model.to(accelerator.device)
    model.encoder.choose_attention(accelerator.device)
    sizes = sampling_sizes(config, data.train)
    settings = _loop_settings(config, sizes)
    shape = Shape(sizes=sizes, steps=settings.steps, seed=config.seed)
    optimizer = build_optimizer(
        model,
        learning_rate=config.training.learning_rate,
        encoder_learning_rate=config.training.encoder_learning_rate,
        weight_decay=config.training.weight_decay,
        layer_decay=config.training.layer_decay,
        head_factors={name: task.learning_rate_factor for name, task in config.tasks.items()},
    )
    schedule = build_schedule(
        optimizer, name=config.training.schedule, steps=settings.steps, warmup=config.training.warmup
    )
    average = build_average(config.training.averaging)
    trainer = Trainer(
        model=model,
        tasks=data.tasks,
        train=data.train,
        selection=data.selection,
        streams={
            name: ExampleStream(name, data.train[name].lengths, batch_size=batch_size, seed=config.seed)
            for name, batch_size in batch_sizes(config).items()
        },
        sampler=build_sampler(_with_replay(config, sizes), shape),
        gradients=_build_gradients(config, data, model, shape, accelerator),
        optimizer=accelerator.prepare_optimizer(optimizer),
        schedule=schedule,
        accelerator=accelerator,
        stopping=EarlyStopping(config.selection.patience, config.selection.tolerance),
        settings=settings,
        averaged=AveragedModel(model, average) if average is not None else None,
        thawing=_build_thawing(config, model),
        probe=ConflictProbe(model, data.tasks, data.train, batch_size=PROBED_EXAMPLES)
        if config.training.conflict_probe
        else None,
        choose=MostUncertain(model, data.tasks, data.train)
        if config.training.example_sampling == "mt_uncertainty"
        else None,
    )
    return Run(trainer=trainer, config=config, tokenizer=tokenizer, folder=folder, data=data)


def _build_checked_model(config: Config, origin: Origin) -> MultitaskModel:
    encoder = origin.open_encoder()
    model = build_model(config, encoder)
    poolings = [config.encoder.pooling, *(each for each in model.poolings.values() if each is not None)]
    faults = encoder.faults(max_length=config.encoder.max_length, poolings=poolings)
    if model.train_encoder:
        faults += _depth_faults(encoder, config.encoder.frozen_layers)
    if faults:
        raise ConfigError(config.name, faults)
    origin.give_heads(model)
    return model


def _depth_faults(encoder: Encoder, frozen_layers: int) -> list[str]:
    layers = count_layers(name for name, _ in encoder.named_parameters())
    if frozen_layers == 0 or frozen_layers < layers:
        return []
    return [
        f"encoder.frozen_layers: {frozen_layers}, but the encoder has {layers} layers with weights of their "
        "own; leave one to train, or set encoder.train: frozen"
    ]


def _with_replay(config: Config, sizes: Mapping[str, int]) -> TrainingConfig:
    """The section ``training`` with the probabilities that a share for known tasks comes to."""
    growth = config.growth
    new = sizes.keys() & set(growth.add if growth is not None else ())
    if growth is None or growth.replay is None or not 0 < len(new) < len(sizes):
        return config.training  # a comparison's run of one task has no others to replay
    probabilities = replay_probabilities(sizes, new, growth.replay)
    fixed = FixedSamplingConfig(name="fixed", probabilities=probabilities)
    return config.training.model_copy(update={"sampling": fixed})


def _build_gradients(
    config: Config, data: RunData, model: MultitaskModel, shape: Shape, accelerator: Accelerator
) -> GradientStep:
    weighing = build_weighing(
        config.training,
        shape,
        weights={name: task.weight for name, task in data.tasks.items()},
        chances={
            name: loss_of_a_guess(task.kind, data.train[name], pad_token_id=model.encoder.pad_token_id)
            for name, task in data.tasks.items()
        },
    )
    return build_gradient_step(
        config.training, model, weighing=weighing, accelerator=accelerator, seed=config.seed
    )


def _build_thawing(config: Config, model: MultitaskModel) -> Thawing | None:
    every = config.training.unfreeze_every
    if every is None:
        return None
    return Thawing(model.encoder.named_parameters(), every=every)


def _loop_settings(config: Config, sizes: Mapping[str, int]) -> LoopSettings:
    training = config.training
    steps = training.steps or max(1, round(training.epochs * steps_of_a_pass(training, sizes)))
    return LoopSettings(
        steps=steps,
        gradient_accumulation=training.gradient_accumulation,
        max_grad_norm=training.max_grad_norm,
        evaluate_every=training.evaluate_every or max(1, steps // EVALUATIONS_A_RUN),
        batch_size=EVALUATION_BATCH_SIZE,
        score=config.joint_score,
        seed=config.seed,
    )
