"""Metrics of a model on whole splits."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from training.batches import collate
from training.data import EncodedExamples
from training.metrics import measure
from training.model import MultitaskModel
from training.tasks import Task

Metrics = dict[str, dict[str, float]]


@torch.inference_mode()
def predict_logits(
    model: MultitaskModel,
    task: Task,
    examples: EncodedExamples,
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float32]:
    """Logits of every example, in order, with dropout off.

    Args:
        model: Left in the mode it was in.
        task: Whose head answers.
        examples: Any number.
        batch_size: Examples a forward pass; sorted by length, so that little is padding.
        on_batch: Called with the examples done since the last call.

    Returns:
        Shape ``(num_examples, num_outputs)``.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    logits = np.empty((len(examples), task.num_outputs), dtype=np.float32)
    order = np.argsort(-examples.lengths, kind="stable")
    for indices in np.split(order, range(batch_size, len(order), batch_size)):
        batch = collate(
            examples, indices, pad_token_id=model.encoder.pad_token_id, labelled=task.labels is not None
        ).to(device)
        logits[indices] = model(task.name, batch).float().cpu().numpy()
        on_batch(len(indices))
    model.train(was_training)
    return logits


def evaluate(
    model: MultitaskModel,
    tasks: Mapping[str, Task],
    data: Mapping[str, EncodedExamples],
    *,
    batch_size: int,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Metrics:
    """Metrics of every task on its examples. Task → metric → value."""
    return {
        name: measure(
            tasks[name].kind,
            predict_logits(model, tasks[name], examples, batch_size=batch_size, on_batch=on_batch),
            examples.labels,
        )
        for name, examples in data.items()
    }
