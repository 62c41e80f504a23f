"""Measures what combining task gradients costs beside plain passes over the same batches (target B16).

    python -m loadtests.training_step CONFIG [--methods sum pcgrad cagrad] [--pairs 10] [--output REPORT.md]

CONFIG is a training configuration; its tasks' own batches are taken, one of each task a step. A side is one
forward and backward pass of every task, by the plain loop (``loss.backward()`` a task) or by one of our
gradient steps; no side updates weights. Both sides run in turn (A B A B …) on the same batches, and the
result is the ratio of their medians. Peak memory is that of a fresh process which runs one side alone.

For a quick look: --pairs 2 --methods pcgrad.
"""

import argparse
import gc
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from loadtests.ratios import Ratio, interleave
from loadtests.report import Circumstances, look_around
from service.cpus import usable_cpus
from training.assembly.run import build_run
from training.checkpoint import RunFolder
from training.config.file import load_config, parse_config
from training.config.schema import Config
from training.errors import TrainingError
from training.gradients.base import Draw
from training.trainer import Trainer

PLAIN = "plain"
"""One ``loss.backward()`` a task, nothing kept apart."""
TARGETS = {"pcgrad": 1.35}


def build_trainer(config: Config, method: str, folder: Path) -> Trainer:
    """A trainer whose steps have every task, with the method's aggregation."""
    aggregation = "sum" if method == PLAIN else method
    raw = config.model_dump(mode="json", by_alias=True)
    raw["training"] |= {
        "batches": "metabatch",
        "aggregation": aggregation,
        "balancing": "constant",
        "hold": None,
    }
    trainer = build_run(parse_config(raw), RunFolder(folder)).trainer
    trainer.model.train()
    return trainer


class Side:
    """One way to make a step's gradient.

    Args:
        trainer: As ``build_trainer``.
        method: ``plain`` or an aggregation.
    """

    def __init__(self, trainer: Trainer, method: str) -> None:
        self._trainer = trainer
        self._method = method

    def run(self, draw: Draw, step: int) -> float:
        """Make the gradient. Returns the seconds it took."""
        start = time.perf_counter()
        if self._method == PLAIN:
            for compute in draw.values():
                torch.autograd.backward(compute())
        else:
            self._trainer.gradients([draw], step=step)
        elapsed = time.perf_counter() - start
        self._trainer.model.zero_grad()
        return elapsed


def measure(config: Config, method: str, *, pairs: int) -> Ratio:
    """The method's step ÷ plain passes, on the same model and batches."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(config, method, Path(folder))
        ours, plain = Side(trainer, method), Side(trainer, PLAIN)
        draws = [trainer.draw() for _ in range(pairs + 1)]
        for side in (ours, plain):  # allocations and lazy initialisation
            side.run(draws[pairs], pairs)
        return interleave(
            lambda pair: ours.run(draws[pair], pair),
            lambda pair: plain.run(draws[pair], pair),
            pairs=pairs,
        )


def peak_mib(config_file: Path, method: str, *, threads: int) -> float:
    """Peak memory of a fresh process that makes a few gradients by one method."""
    command = [
        sys.executable, "-m", "loadtests.training_step", str(config_file),
        "--methods", method, "--threads", str(threads), "--memory",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def run_alone(config: Config, method: str, *, steps: int) -> float:
    """Make some gradients. Returns this process's peak memory in MiB meanwhile, data loading left out."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(config, method, Path(folder))
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far
        for step in range(steps):
            Side(trainer, method).run(trainer.draw(), step)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def report(
    results: Sequence[tuple[str, Ratio, float]], plain_mib: float, circumstances: Circumstances
) -> str:
    """The table as Markdown, with what its figures mean nothing without."""
    lines = [
        "| gradients of a step | ÷ plain passes | of pairs | target | seconds | plain | peak MiB | plain |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method, ratio, mib in results:
        target = f"≤ {TARGETS[method]}" if method in TARGETS else ""
        lines.append(
            f"| {method} | {ratio.of_medians:.3f} | {ratio.of_pairs.low:.2f} to {ratio.of_pairs.high:.2f} "
            f"| {target} | {ratio.a.median:.3f} | {ratio.b.median:.3f} | {mib:.0f} | {plain_mib:.0f} |"
        )
    lines += [
        "",
        f"- Hardware: {circumstances.cpu}, {circumstances.cores} cores, {circumstances.threads} threads.",
        f"- Commit: {circumstances.commit}. Date: {circumstances.started:%Y-%m-%d %H:%M} UTC.",
        f"- Command: `{circumstances.command}`",
    ]
    if circumstances.is_busy:
        lines.append(
            f"- Taken on a busy machine: {circumstances.load:.1f} cores were busy before the start. The "
            "ratios are of pairs taken in turn; the seconds are not valid."
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.training_step", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--methods", nargs="+", default=["sum", "pcgrad"])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=usable_cpus())
    parser.add_argument("--output", type=Path)
    parser.add_argument("--memory", action="store_true", help="print one method's peak in MiB instead")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    console = Console()
    try:
        config = load_config(options.config)
        if options.memory:
            print(run_alone(config, options.methods[0], steps=3))
            return 0
        command = ["python -m loadtests.training_step", *(arguments or sys.argv[1:])]
        circumstances = look_around(" ".join(command), threads=options.threads)
        results = []
        for method in options.methods:
            console.print(f"measuring {method}, {options.pairs} pairs")
            ratio = measure(config, method, pairs=options.pairs)
            results.append((method, ratio, peak_mib(options.config, method, threads=options.threads)))
        plain_mib = peak_mib(options.config, PLAIN, threads=options.threads)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = report(results, plain_mib, circumstances)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
