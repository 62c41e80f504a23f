"""Metrics of a model on whole splits."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from training.batches import Batch, pad
from training.examples import EncodedExamples
from training.model import MultitaskModel
from training.tasks import Task

Metrics = dict[str, dict[str, float]]
"""Task → metric → value."""


@torch.inference_mode()
def predict_logits(
    model: MultitaskModel,
    task: Task,
    examples: EncodedExamples,
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda _: None,
) -> list[NDArray[np.float32]]:
    """Logits of every example, in order, with dropout off.

    Args:
        model: Left in the mode it was in.
        task: Whose head answers.
        examples: Any number. One with many sequences is spread over several forward passes.
        batch_size: Rows of logits a forward pass; sorted by length, so that little is padding.
        on_batch: Called with the examples completed since the last call.

    Returns:
        An array for each example: ``(rows of logits, num_outputs)``, of a token-level kind
        ``(tokens of all its sequences, num_outputs)``.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    units = [(example, row) for example in range(len(examples)) for row in examples.rows_of(example)]
    lengths = np.array([max(len(examples.sequences[e][s].input_ids) for s in row) for e, row in units])
    order = np.argsort(-lengths, kind="stable")
    missing = np.bincount([example for example, _ in units], minlength=len(examples))
    parts: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(units)
    for chosen in np.split(order, range(batch_size, len(order), batch_size)):
        batch = _read_together(examples, [units[unit] for unit in chosen], model.encoder.pad_token_id)
        logits = model(task.name, batch.to(device)).float().cpu().numpy()
        for unit, row in zip(chosen, logits, strict=True):
            parts[unit] = row[: lengths[unit]] if task.kind.is_token_level else row[None]
            missing[units[unit][0]] -= 1
        on_batch(sum(missing[example] == 0 for example in {units[unit][0] for unit in chosen}))
    model.train(was_training)
    by_example = np.split(
        np.arange(len(units)), np.cumsum([len(examples.rows_of(e)) for e in range(len(examples))])
    )
    return [np.concatenate([parts[unit] for unit in own]) for own in by_example[:-1]]


def _read_together(
    examples: EncodedExamples, units: list[tuple[int, NDArray[np.int64]]], pad_token_id: int
) -> Batch:
    """Rows of logits as a batch; a sequence that several of them read is there once."""
    places: dict[tuple[int, int], int] = {}
    rows = [[places.setdefault((example, int(s)), len(places)) for s in row] for example, row in units]
    sequences = [examples.sequences[example][s] for example, s in places]
    return pad(sequences, np.array(rows), pad_token_id=pad_token_id)


def evaluate(
    model: MultitaskModel,
    tasks: Mapping[str, Task],
    data: Mapping[str, EncodedExamples],
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Metrics:
    """Metrics of every task on its examples."""
    return {
        name: tasks[name].kind.measure(
            predict_logits(model, tasks[name], examples, batch_size=batch_size, on_batch=on_batch), examples
        )
        for name, examples in data.items()
    }
