"""The processes of a distributed run."""

import os
from datetime import timedelta

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

PATIENCE = timedelta(days=1)
"""NCCL gives up on a process after ten minutes, but the main one measures dev, or encodes every text, by
itself. Of one that has died the launcher knows: it ends the others."""


def this_process() -> PartialState:
    """Who this process is among those of the run; joins them on the first call.

    Several processes on a machine without a GPU talk through gloo. Hugging Face accelerate does not try that
    unless it is told to compute on the CPU.
    """
    launched = "LOCAL_RANK" in os.environ
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or (launched and not torch.cuda.is_available())
    return PartialState(cpu=cpu, timeout=PATIENCE)


def leave_processes() -> None:
    """End the connections to the run's other processes, if there are any.

    Left to the interpreter's end, gloo's threads are destroyed while they run, which now and then aborts it.
    """
    this_process().destroy_process_group()
