"""How the two vectors of a bi-encoded pair become features."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

DEFAULT_COMBINE = "diff_product"


def _concat(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b], dim=-1)


def _diff_product(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([(a - b).abs(), a * b], dim=-1)


def _full(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b, (a - b).abs(), a * b], dim=-1)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return functional.cosine_similarity(a, b, dim=-1).unsqueeze(-1)


COMBINES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": _concat,
    "diff_product": _diff_product,
    "full": _full,
    "cosine": _cosine,
}
"""``(batch_size, hidden_size)`` twice → features. The same for (b, a): diff_product and cosine alone."""


def combined_size(combine: str, hidden_size: int) -> int:
    """Number of features that ``COMBINES[combine]`` gives."""
    sizes = {"concat": 2 * hidden_size, "diff_product": 2 * hidden_size, "full": 4 * hidden_size, "cosine": 1}
    return sizes[combine]
