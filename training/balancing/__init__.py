"""Losses of the tasks → one loss, by TorchJD's scalarizers.

Every scalarizer sees all tasks' losses in the order of the YAML file; a task that is not part of the step has
loss 0, so one task a batch and the metabatch are the same weighted sum.
"""

from collections.abc import Sequence

import torch
from torchjd.scalarization import Constant, Scalarizer


def build_scalarizer(weights: Sequence[float]) -> Scalarizer:
    """The weighted sum ``Σ w_i L_i``.

    Args:
        weights: Of the tasks. Shape ``(num_tasks,)``.
    """
    return Constant(torch.tensor(weights, dtype=torch.float32))
