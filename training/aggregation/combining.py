"""The matrix of task gradients → one gradient, with what is worth logging about it."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torchjd.aggregation import Aggregator, GramianWeightedAggregator, WeightedAggregator


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """A combined gradient.

    Attributes:
        gradient: ``Δ``. Shape ``(num_params,)``.
        weights: ``w`` with ``Δ = Jᵀw``: how much of each task's gradient is in it. For an aggregator that
            works by the column, the nearest such ``w`` (least squares). Shape ``(num_tasks,)``.
        gramian: ``G = JJᵀ``, every pair's inner product. Shape ``(num_tasks, num_tasks)``.
    """

    gradient: Tensor
    weights: Tensor
    gramian: Tensor


@torch.no_grad()
def combine(aggregator: Aggregator, matrix: Tensor, *, keep_zero_rows: bool = False) -> Combination:
    """Apply an aggregator.

    A task without a gradient has no direction to agree or conflict with, and several methods divide by its
    norm: its row is left out. A gradient that is not finite (an overflow in fp16) is beyond repair, so the
    plain sum passes it on for the gradient scaler to see and skip the step.

    Args:
        aggregator: Of TorchJD.
        matrix: ``J``. Shape ``(num_tasks, num_params)``.
        keep_zero_rows: For aggregators that remember tasks by their row.
    """
    gramian = matrix @ matrix.T
    norms = gramian.diagonal()
    if not bool(norms.isfinite().all()):
        return Combination(gradient=matrix.sum(dim=0), weights=torch.ones_like(norms), gramian=gramian)
    rows = torch.arange(len(norms)) if keep_zero_rows else (norms > 0).nonzero().flatten().cpu()
    weights = torch.zeros_like(norms)
    if len(rows) == 0:
        return Combination(gradient=torch.zeros_like(matrix[0]), weights=weights, gramian=gramian)
    whole = len(rows) == len(norms)
    kept, kept_gramian = (matrix, gramian) if whole else (matrix[rows], gramian[rows][:, rows])
    gradient, kept_weights = _apply(aggregator, kept, kept_gramian)
    weights[rows] = kept_weights
    return Combination(gradient=gradient, weights=weights, gramian=gramian)


def _apply(aggregator: Aggregator, matrix: Tensor, gramian: Tensor) -> tuple[Tensor, Tensor]:
    if isinstance(aggregator, GramianWeightedAggregator):
        weights = aggregator.gramian_weighting(gramian)  # not computed a second time
    elif isinstance(aggregator, WeightedAggregator):
        with warnings.catch_warnings():
            # At every solve cvxpy says that Nash-MTL's problem cannot be cached, and divides by zero gains.
            warnings.simplefilter("ignore")
            weights = aggregator.weighting(matrix)
    else:
        gradient = aggregator(matrix)
        inner = (matrix @ gradient).double().cpu()
        nearest = torch.linalg.lstsq(gramian.double().cpu(), inner.unsqueeze(1), driver="gelsd").solution
        return gradient, nearest.flatten().to(gramian)
    return weights @ matrix, weights
