"""Two tasks that want different things of one narrow network: what hard sharing loses and other layers keep.

    python -m examples.sharing.conflicting_tasks

The construction: x has 16 standard normal features, and 9 orthonormal directions are drawn. Both tasks
contain |s·x| of the first one; task a adds |u·x| of four others, task b of the last four. The vector that a
head, a linear layer, reads is 12 wide. |z| = relu(z) + relu(−z) takes two units, so a task by itself needs
10, and both together need 18: one network of that width cannot serve both. Where a task's path has weights
of its own, or a gate that can choose, it can. The two have little to share: this is a test of conflict.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.sharing import (
    CustomisedSharing,
    MultiGateMixtureOfExperts,
    ProgressiveLayeredExtraction,
    SharedBottom,
    SharingLayer,
    SoftSharing,
    TowerShape,
)

FEATURES, WIDTH = 16, 12
TASKS = ("a", "b")
OWN_UNITS = 4
STEPS, BATCH, RATE = 800, 128, 0.02
TEST_ROWS = 4096
SEEDS = (0, 1, 2)

SHAPE = TowerShape(in_features=FEATURES, widths=(WIDTH,))
LAYERS: Mapping[str, Callable[[], SharingLayer]] = {
    "shared_bottom": lambda: SharedBottom(TASKS, SHAPE),
    "mmoe": lambda: MultiGateMixtureOfExperts(TASKS, SHAPE, experts=3),
    "cgc": lambda: ProgressiveLayeredExtraction(TASKS, SHAPE),
    "ple": lambda: ProgressiveLayeredExtraction(TASKS, SHAPE, levels=2),
    "customised": lambda: CustomisedSharing(TASKS, SHAPE, fusion="concat"),
    "alone": lambda: SoftSharing(TASKS, SHAPE, penalty=0.0),
}
"""``alone`` is a tower for each task with nothing in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictingTasks:
    """The two tasks.

    Attributes:
        directions: Orthonormal rows: the shared one, then those of each task. Shape ``(9, FEATURES)``.
    """

    directions: NDArray[np.float64]

    @classmethod
    def draw(cls, seed: int) -> "ConflictingTasks":
        """Random directions."""
        drawn = np.random.default_rng(seed).normal(size=(FEATURES, FEATURES))
        return cls(directions=np.linalg.qr(drawn)[0][: 1 + OWN_UNITS * len(TASKS)])

    def rows(self, count: int, generator: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Features ``(count, FEATURES)`` and each task's targets ``(count,)``, of mean 0 and variance 1."""
        x = generator.normal(size=(count, FEATURES))
        units = np.abs(x @ self.directions.T) - np.sqrt(2 / np.pi)
        own = np.split(units[:, 1:], len(TASKS), axis=1)
        scale = np.sqrt((1 + OWN_UNITS) * (1 - 2 / np.pi))
        targets = {
            task: (units[:, 0] + mine.sum(axis=1)) / scale for task, mine in zip(TASKS, own, strict=True)
        }
        return torch.tensor(x).float(), {task: torch.tensor(each).float() for task, each in targets.items()}


def unexplained(name: str, seed: int) -> dict[str, float]:
    """Train a layer with linear heads on both tasks at once; the share of each one's variance it leaves.

    Args:
        name: One of ``LAYERS``.
        seed: Of the tasks, the rows and the first weights.
    """
    tasks, generator = ConflictingTasks.draw(seed), np.random.default_rng([seed, 1])
    torch.manual_seed(seed)
    layer = LAYERS[name]()
    heads = nn.ModuleDict({task: nn.Linear(layer.out_features(task), 1) for task in TASKS})
    parameters = [*layer.parameters(), *heads.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total_iters=STEPS)

    def losses(count: int) -> dict[str, Tensor]:
        x, targets = tasks.rows(count, generator)
        return {
            task: (heads[task](layer(x, task)).squeeze(1) - targets[task]).square().mean() for task in TASKS
        }

    for _ in range(STEPS):
        torch.stack(list(losses(BATCH).values())).sum().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    layer.eval()
    with torch.inference_mode():
        return {task: loss.item() for task, loss in losses(TEST_ROWS).items()}


def main() -> None:
    """Print the table."""
    lines = [
        "| layer | parameters | unexplained variance, mean of both tasks | by seed |",
        "|---|---|---|---|",
    ]
    for name, build in LAYERS.items():
        found = [sum(unexplained(name, seed).values()) / len(TASKS) for seed in SEEDS]
        size = sum(parameter.numel() for parameter in build().parameters())
        by_seed = ", ".join(f"{value:.3f}" for value in found)
        lines.append(f"| {name} | {size} | {sum(found) / len(found):.3f} | {by_seed} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
