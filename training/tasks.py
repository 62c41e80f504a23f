"""What a task is during training: ``T_i = {p_i(x), p_i(y|x), H_i, L_i}`` without its data and its head."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        name: As in the YAML file.
        kind: ``classification``, ``regression``, ``pair_classification`` or ``pair_regression``.
        text_columns: One column, or two for a pair.
        label_column: Column of the label or value.
        labels: In the order of the logits; None for a value.
        bi_encoder: Whether a pair's texts are encoded apart.
        symmetric: Whether a pair's order carries no meaning.
        weight: Factor of the loss.
    """

    name: str
    kind: str
    text_columns: tuple[str, ...]
    label_column: str
    labels: tuple[str, ...] | None
    bi_encoder: bool
    symmetric: bool = False
    weight: float = 1.0

    @property
    def num_outputs(self) -> int:
        """Columns of the logits."""
        return len(self.labels) if self.labels else 1

    @property
    def sequences_per_example(self) -> int:
        """Encoder inputs an example becomes."""
        return 2 if self.bi_encoder else 1

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch: cross-entropy of labels, squared error of values.

        Args:
            logits: Shape ``(batch_size, num_outputs)``.
            labels: Label indices (int64) or values (float32). Shape ``(batch_size,)``.
        """
        if self.labels:
            return functional.cross_entropy(logits, labels)
        return functional.mse_loss(logits.squeeze(-1), labels)
