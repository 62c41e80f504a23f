"""Work in processes of its own, several at once, told of as it goes.

Each piece gets a fresh process: precision and thread counts are settings of a process, and so is its peak
memory. A process whose parent is gone ends at its next message, so a killed comparison leaves no run behind.
"""

import logging
import multiprocessing
import os
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from training.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a piece of work is."""

    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A piece of work is finished."""

    result: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A piece of work ended without a result."""

    reason: str


Message = Progress | Done | Failed
Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A piece of work.

    Attributes:
        name: Unique.
        function: Of a module, so that another process finds it. Gets the arguments and a function that tells
            progress; its result is sent back.
        arguments: Picklable.
        log: File that gets what it prints, a traceback included.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    log: Path


def threads_each(jobs: int) -> int:
    """Threads of each of so many processes at once: this process's share, at least one."""
    return max(1, torch.get_num_threads() // jobs)


def in_processes(works: Sequence[Work], *, jobs: int) -> Iterator[tuple[str, Message]]:
    """Run all work, in order of the list where it waits for a free process. Closing the iterator ends it all.

    Args:
        works: Any number.
        jobs: Processes at once.

    Yields:
        Names with what was told, as it comes; ``Done`` or ``Failed`` last, once each.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.comparison.training_run"])  # seconds of imports, once for all
    waiting = deque(works)
    running: dict[Connection, tuple[str, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                work = waiting.popleft()
                receiver, sender = context.Pipe(duplex=False)
                arguments = (work, sender, threads_each(jobs))
                started = context.Process(target=_work, args=arguments, daemon=True)
                started.start()
                sender.close()  # so that the receiver ends with the process
                running[receiver] = work.name, started
            ready = wait(list(running))
            for receiver in [each for each in running if each in ready]:
                name, process = running[receiver]
                message = _receive(receiver, process)
                if not isinstance(message, Progress):
                    receiver.close()
                    process.join()
                    del running[receiver]
                yield name, message
    finally:
        left: list[BaseProcess] = [process for _, process in running.values()]
        for each in left:
            each.terminate()
        for each in left:
            each.join()


def _receive(receiver: Connection, process: BaseProcess) -> Message:
    try:
        message: Message = receiver.recv()
    except EOFError:
        process.join()
        return Failed(reason=f"its process ended with exit code {process.exitcode}")
    return message


def _work(work: Work, sender: Connection, threads: int) -> None:
    torch.set_num_threads(threads)
    logging.basicConfig(level=logging.WARNING)
    work.log.parent.mkdir(parents=True, exist_ok=True)
    with work.log.open("a", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            message: Message = Done(result=work.function(*work.arguments, sender.send))
        except (BrokenPipeError, KeyboardInterrupt):
            os._exit(1)  # nobody listens any more
        except TrainingError as error:
            message = Failed(reason=str(error))
        except Exception as error:
            traceback.print_exc()
            message = Failed(reason=f"{type(error).__name__}: {error} (see {work.log})")
    sender.send(message)
