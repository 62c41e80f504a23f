"""ConFIG (Liu et al. 2024, 2408.11104, equation 2) by the tasks' inner products alone.

TorchJD's own class takes the pseudo-inverse of the whole matrix of gradients. Its cut-off for singular values
grows with the longer side of the matrix: in float32, from 8.4 million parameters on, it is above the largest
of them, so that every direction is thrown away and the update is zero (torchjd 0.18, torch 2.13).
"""

import torch
from torch import Tensor
from torchjd.aggregation import GramianWeightedAggregator, Weighting


class ConflictFreeWeighting(Weighting[Tensor]):  # type: ignore[misc]
    """Weights of the gradient that has the same cosine with every task's, as long as their projections' sum.

    With unit gradients ``U`` the direction is ``U⁺1 = Uᵀ(UUᵀ)⁺1``, and ``UUᵀ`` are the cosines.
    """

    def forward(self, gramian: Tensor, /) -> Tensor:
        """Weights. Shape ``(num_tasks,)``.

        Args:
            gramian: ``JJᵀ``. Shape ``(num_tasks, num_tasks)``.
        """
        inner = gramian.double()
        norms = inner.diagonal().sqrt()
        cosines = (inner / norms.outer(norms)).nan_to_num(0.0)
        of_units = torch.linalg.pinv(cosines, hermitian=True).sum(dim=1)
        length = (of_units @ cosines @ of_units).clamp(min=0).sqrt()
        projections = norms @ cosines @ of_units / length
        weights = projections * of_units / (length * norms)
        found: Tensor = weights.nan_to_num(0.0).to(gramian.dtype)
        return found


class ConflictFree(GramianWeightedAggregator):  # type: ignore[misc]
    """``Δ = Jᵀw`` with the weights of ``ConflictFreeWeighting``."""

    def __init__(self) -> None:
        super().__init__(ConflictFreeWeighting())
