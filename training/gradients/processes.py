"""Sums over the processes of a distributed run.

The model is not wrapped in ``DistributedDataParallel``: task gradients must be summed over the processes
before they are combined, not after, and a task's head is unused in most steps. Every process draws the same
tasks, computes its share of each batch, and takes part in the same sums.
"""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, distributed


@torch.no_grad()
def sum_over_processes(accelerator: Accelerator, tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, in place, by its sum over all processes; one transfer for all of them.

    Args:
        accelerator: Knows whether there are several processes.
        tensors: Of one type and on one device; the same shapes on every process.
    """
    if accelerator.num_processes == 1 or not tensors:
        return
    if len(tensors) == 1 and tensors[0].is_contiguous():
        distributed.all_reduce(tensors[0])
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))
