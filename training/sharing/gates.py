"""Gates: how much of each expert a task takes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """``softmax(W·selector)``: weights that sum to one.

    In training, experts may be dropped: Zhao et al. 2019 ("Recommending what video to watch next",
    https://doi.org/10.1145/3298689.3346997, §4.2) set gate weights to zero at random and renormalise, because
    in a fifth of their distributed runs a gate polarised towards one expert.

    Args:
        in_features: Width of the selector.
        selected: Names of what the gate weighs, in order.
        expert_dropout: Probability that an expert is dropped, for each vector by itself.
    """

    def __init__(self, in_features: int, selected: Sequence[str], *, expert_dropout: float = 0.0) -> None:
        super().__init__()
        self.selected = tuple(selected)
        self.linear = nn.Linear(in_features, len(self.selected), bias=False)
        self.expert_dropout = expert_dropout

    def forward(self, selector: Tensor) -> Tensor:
        """``(…, in_features)`` → weights, ``(…, len(selected))``."""
        logits: Tensor = self.linear(selector)
        if self.training and self.expert_dropout > 0:
            logits = drop_experts(logits, self.expert_dropout)
        return logits.softmax(dim=-1)


def drop_experts(logits: Tensor, probability: float) -> Tensor:
    """Gate logits without the dropped experts; where all would be dropped, none is.

    The softmax over what is left is the renormalised one, without a division by a sum that may underflow.

    Args:
        logits: Shape ``(…, num_experts)``.
        probability: Of each expert.
    """
    kept = torch.rand_like(logits) >= probability
    kept = kept | ~kept.any(dim=-1, keepdim=True)
    return logits.masked_fill(~kept, torch.finfo(logits.dtype).min)


def weighted_sum(weights: Tensor, selected: Sequence[Tensor]) -> Tensor:
    """``Σ_i w_i · s_i``.

    Args:
        weights: Shape ``(…, len(selected))``.
        selected: Each of shape ``(…, width)``.
    """
    return (weights.unsqueeze(-1) * torch.stack(list(selected), dim=-2)).sum(dim=-2)
