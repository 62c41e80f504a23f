"""The loss of a guess that knows nothing of the input: a natural unit of a task's loss."""

import numpy as np
import torch

from training.batches import collate
from training.examples import EncodedExamples, evenly
from training.kinds.base import Kind

MAX_EXAMPLES = 256


def loss_of_a_guess(kind: Kind, examples: EncodedExamples, *, pad_token_id: int) -> float:
    """A task's loss where every input gets the same answer.

    For labels it is the loss of equal logits, ``log C`` of C labels; for a value, that of the mean.

    Args:
        kind: Of the task.
        examples: As the task learns from them; at most 256 are taken, evenly spaced.
        pad_token_id: Of the encoder.
    """
    taken = evenly(len(examples), MAX_EXAMPLES)  # a file may be sorted by its labels
    batch = collate(examples, taken, pad_token_id=pad_token_id)
    shape: tuple[int, ...] = (len(batch.example_ids), kind.num_outputs)
    if kind.is_token_level:
        shape = (*batch.inputs.input_ids.shape, kind.num_outputs)
    is_value = kind.name.endswith("regression")
    guess = float(np.mean(batch.targets.numpy())) if is_value else 0.0
    return float(kind.loss(torch.full(shape, guess), batch))
