"""The networks that a sharing layer is made of: linear layers, each with ReLU behind it."""

from dataclasses import dataclass, replace

from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerShape:
    """Sizes of a network: an expert, a tower, a column.

    Attributes:
        in_features: Width of what it reads.
        widths: Of its layers; the last one is the width of what it gives.
        dropout: Probability, before every layer.
    """

    in_features: int
    widths: tuple[int, ...]
    dropout: float = 0.0

    @property
    def out_features(self) -> int:
        """Width of what it gives."""
        return self.widths[-1]

    def on_top(self) -> "TowerShape":
        """The same network over its own output."""
        return replace(self, in_features=self.out_features)

    def layers(self) -> list[nn.Sequential]:
        """Untrained layers, bottom first."""
        return [
            nn.Sequential(nn.Dropout(self.dropout), nn.Linear(below, width), nn.ReLU())
            for below, width in zip((self.in_features, *self.widths[:-1]), self.widths, strict=True)
        ]

    def build(self) -> nn.Sequential:
        """An untrained network: ``(…, in_features)`` → ``(…, out_features)``."""
        return nn.Sequential(*self.layers())
