"""A head of one's own: a bilinear score of two texts that were encoded apart."""

import torch
from torch import Tensor, nn


class BilinearHead(nn.Module):
    """``logits_k = (U_k·a)·(V_k·b) + c_k``: a low-rank bilinear form for each label or value.

    Args:
        hidden_size: Width of the pooled vectors; given by EncodeOnce.
        num_outputs: Labels of the task, or 1 for a value; given by EncodeOnce.
        rank: Of each form; from ``parameters`` of the YAML file.
        dropout: Probability, before the projections; likewise.
    """

    input_names = ("pooled_a", "pooled_b")

    def __init__(self, *, hidden_size: int, num_outputs: int, rank: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        self.num_outputs = num_outputs
        self.dropout = nn.Dropout(dropout)
        self.left = nn.Linear(hidden_size, num_outputs * rank, bias=False)
        self.right = nn.Linear(hidden_size, num_outputs * rank, bias=False)
        self.bias = nn.Parameter(torch.zeros(num_outputs))

    def forward(self, pooled_a: Tensor, pooled_b: Tensor) -> Tensor:
        """``(batch_size, hidden_size)`` twice → ``(batch_size, num_outputs)``."""
        left = self.left(self.dropout(pooled_a)).unflatten(-1, (self.num_outputs, -1))
        right = self.right(self.dropout(pooled_b)).unflatten(-1, (self.num_outputs, -1))
        return (left * right).sum(dim=-1) + self.bias
