"""Measures what the implementation of attention costs in training, plain ÷ fused.

    python -m loadtests.attention CONFIG [--pairs 5]

Both sides make the same gradients of the same batches, of every task one, in turn (A B A B …).
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from loadtests.ratios import interleave
from loadtests.report import look_around
from loadtests.training_step import PLAIN, Side, build_trainer
from service.cpus import usable_cpus
from training.config.file import load_config
from training.encoder import SharedEncoder
from training.errors import TrainingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.attention", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_cpus())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    circumstances = look_around("python -m loadtests.attention", threads=options.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            trainer = build_trainer(load_config(options.config), PLAIN, Path(folder))
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    encoder = trainer.model.encoder
    assert isinstance(encoder, SharedEncoder)  # a configuration without growth has weights
    draws, side = [trainer.draw() for _ in range(options.pairs + 1)], Side(trainer, PLAIN)

    def run(attention: str, pair: int) -> float:
        encoder.backbone.set_attn_implementation(attention)
        return side.run(draws[pair], pair)

    for attention in ("eager", "sdpa"):
        run(attention, options.pairs)  # allocations and lazy initialisation
    ratio = interleave(lambda pair: run("eager", pair), lambda pair: run("sdpa", pair), pairs=options.pairs)
    print(
        f"plain / fused: {ratio.of_medians:.3f} ({ratio.of_pairs.low:.2f} to {ratio.of_pairs.high:.2f}), "
        f"{ratio.a.median:.3f} s / {ratio.b.median:.3f} s; {circumstances}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
