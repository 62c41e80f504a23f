"""How far tasks pull the shared parameters apart."""

from collections.abc import Sequence
from itertools import combinations

from torch import Tensor


def cosines(gramian: Tensor) -> Tensor:
    """Cosine between every two gradients: 1 agrees, 0 is indifferent, below 0 is a conflict.

    Args:
        gramian: ``G = JJᵀ`` of the task gradients. Shape ``(num_tasks, num_tasks)``.

    Returns:
        Same shape; 0 beside a task without a gradient.
    """
    norms = gramian.diagonal().clamp_min(0).sqrt()
    products = norms.unsqueeze(0) * norms.unsqueeze(1)
    found = (gramian / products.clamp_min(1e-30)).clamp(-1, 1)
    return found.where(products > 0, 0.0)


def pairwise(tasks: Sequence[str], gramian: Tensor) -> dict[tuple[str, str], float]:
    """Cosine of each pair of tasks, the first named first.

    Args:
        tasks: In the order of the rows.
        gramian: Shape ``(num_tasks, num_tasks)``.
    """
    matrix = cosines(gramian)
    return {(tasks[i], tasks[j]): float(matrix[i, j]) for i, j in combinations(range(len(tasks)), 2)}
