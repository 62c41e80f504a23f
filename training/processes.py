"""The processes of a distributed run."""

import os

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env


def this_process() -> PartialState:
    """Who this process is among those of the run; joins them on the first call.

    Several processes on a machine without a GPU talk through gloo. Hugging Face accelerate does not try that
    unless it is told to compute on the CPU.
    """
    launched = "LOCAL_RANK" in os.environ
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or (launched and not torch.cuda.is_available())
    return PartialState(cpu=cpu)


def leave_processes() -> None:
    """End the connections to the run's other processes, if there are any.

    Left to the interpreter's end, gloo's threads are destroyed while they run, which now and then aborts it.
    """
    this_process().destroy_process_group()
