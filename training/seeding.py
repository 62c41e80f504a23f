"""Random draws that depend on named numbers alone: the same after a resume, and on every process."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def mixed(*seeds: int) -> int:
    """One seed of several, such as the run's, the step and the process. Not negative, below 2⁶³."""
    state = 0
    for seed in seeds:
        state = (state * 1_000_003 + seed) % 2**63
    return state


@contextmanager
def seeded(*seeds: int) -> Iterator[None]:
    """Let PyTorch's random draws inside depend on these numbers alone, and leave no trace outside.

    So the order in which PCGrad visits the tasks is a function of seed and step.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(mixed(*seeds))
        yield
