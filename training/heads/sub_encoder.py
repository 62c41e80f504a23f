"""A task's own top layers over the shared, cacheable trunk."""

from torch import Tensor, nn
from torch.nn import functional

from training.segments import additive_mask

INITIAL_STD = 0.02
"""Of the weights, as BERT starts its layers: small enough that a new layer begins close to the identity."""


class TransformerLayer(nn.Module):
    """Attention and feed-forward block, each with residual and LayerNorm behind it (Vaswani et al. 2017).

    Computes what ``nn.TransformerEncoderLayer(activation="gelu", norm_first=False)`` computes; that one has a
    second path for evaluation that no exporter traces.

    Args:
        hidden_size: Width of the token states.
        num_heads: Divides ``hidden_size``.
        intermediate_size: Width of the feed-forward block.
        dropout: Probability, on attention weights and before each residual.

    Raises:
        ValueError: If ``num_heads`` does not divide ``hidden_size``.
    """

    def __init__(self, hidden_size: int, *, num_heads: int, intermediate_size: int, dropout: float) -> None:
        super().__init__()
        if hidden_size % num_heads:
            raise ValueError(
                f"Parameter `num_heads` should divide the hidden size {hidden_size}. Found {num_heads}."
            )
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.attention_output = nn.Linear(hidden_size, hidden_size)
        self.attention_norm = nn.LayerNorm(hidden_size)
        self.intermediate = nn.Linear(hidden_size, intermediate_size)
        self.output = nn.Linear(intermediate_size, hidden_size)
        self.output_norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        for linear in (self.query_key_value, self.attention_output, self.intermediate, self.output):
            nn.init.normal_(linear.weight, std=INITIAL_STD)
            nn.init.zeros_(linear.bias)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Shape of ``states`` kept.

        Args:
            states: Shape ``(rows, row_len, hidden_size)``.
            mask: Added to the attention scores. Shape ``(rows, 1, row_len, row_len)``.
        """
        states = self.attention_norm(states + self.dropout(self._attend(states, mask)))
        inner = self.dropout(functional.gelu(self.intermediate(states)))
        kept: Tensor = self.output_norm(states + self.dropout(self.output(inner)))
        return kept

    def _attend(self, states: Tensor, mask: Tensor) -> Tensor:
        by_head = self.query_key_value(states).unflatten(-1, (3, self.num_heads, -1)).transpose(1, 3)
        query, key, value = by_head.unbind(dim=2)
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + mask
        context = self.dropout(scores.softmax(dim=-1)) @ value
        attended: Tensor = self.attention_output(context.transpose(1, 2).flatten(2))
        return attended


class SubEncoder(nn.Module):
    """Transformer layers over token states in rows; attention keeps to the own segment.

    Args:
        hidden_size: Width of the token states.
        num_layers: How many.
        num_heads: Of each layer.
        intermediate_size: Of each layer's feed-forward block.
        dropout: Of each layer.
    """

    def __init__(
        self, hidden_size: int, *, num_layers: int, num_heads: int, intermediate_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(
                hidden_size, num_heads=num_heads, intermediate_size=intermediate_size, dropout=dropout
            )
            for _ in range(num_layers)
        )

    def forward(self, states: Tensor, segment_ids: Tensor) -> Tensor:
        """Shape of ``states``, ``(rows, row_len, hidden_size)``, kept."""
        mask = additive_mask(segment_ids, states.dtype)
        for layer in self.layers:
            states = layer(states, mask)
        return states
