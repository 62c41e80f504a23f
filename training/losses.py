"""Losses of the kinds: logits and targets → the mean loss of a batch."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

ClassWeights = tuple[float, ...] | Literal["balanced"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelLoss:
    """One label of several: cross-entropy, or the focal loss.

    Lin et al. 2017, https://arxiv.org/abs/1708.02002, eq. 5, over softmax: −w·(1 − p)^gamma·log p of the
    right label's probability p. The mean divides by the sum of the weights, as PyTorch's weighted
    cross-entropy does, so that gamma = 0 is exactly that.

    Attributes:
        class_weights: w of each label; ``balanced`` until ``balanced_by`` has counted them.
        label_smoothing: Share of the target spread evenly over all labels (Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567, §7). Of cross-entropy alone.
        gamma: How much sure and right answers are discounted; 0 is cross-entropy.
    """

    class_weights: ClassWeights = None
    label_smoothing: float = 0.0
    gamma: float = 0.0

    def balanced_by(self, counts: NDArray[np.int64]) -> "LabelLoss":
        """With weights num_examples / (num_labels · count) where they are ``balanced``: scikit-learn's."""
        if self.class_weights != "balanced":
            return self
        return replace(self, class_weights=_weights(counts.sum() / len(counts), counts))

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss.

        Args:
            logits: Shape ``(num_examples, num_labels)``.
            labels: Numbers (int64) of the right ones. Shape ``(num_examples,)``.
        """
        weights = _tensor(self.class_weights, logits)
        if self.gamma == 0:
            return functional.cross_entropy(
                logits, labels, weight=weights, label_smoothing=self.label_smoothing
            )
        right = functional.log_softmax(logits, dim=1).gather(1, labels.unsqueeze(1)).squeeze(1)
        weight = torch.ones_like(right) if weights is None else weights[labels]
        return (weight * _discount(right, self.gamma) * -right).sum() / weight.sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiLabelLoss:
    """Any number of labels: binary cross-entropy of each, or the focal loss, averaged over all.

    Attributes:
        class_weights: Factor of the loss where a label is present; ``balanced`` until counted.
        label_smoothing: Targets become this much closer to one half. Of cross-entropy alone.
        gamma: How much sure and right answers are discounted; 0 is cross-entropy.
    """

    class_weights: ClassWeights = None
    label_smoothing: float = 0.0
    gamma: float = 0.0

    def balanced_by(self, counts: NDArray[np.int64], num_examples: int) -> "MultiLabelLoss":
        """With weights absent / present of each label, where they are ``balanced``."""
        if self.class_weights != "balanced":
            return self
        return replace(self, class_weights=_weights(num_examples - counts, counts))

    def __call__(self, logits: Tensor, present: Tensor) -> Tensor:
        """Mean loss.

        Args:
            logits: Shape ``(num_examples, num_labels)``.
            present: 1 or 0 (float32). Same shape.
        """
        target = present * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        weights = _tensor(self.class_weights, logits)
        if self.gamma == 0:
            return functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weights)
        right = functional.logsigmoid(torch.where(present > 0, logits, -logits))
        weight = 1.0 if weights is None else torch.where(present > 0, weights, 1.0)
        return (weight * _discount(right, self.gamma) * -right).mean()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueLoss:
    """A number: squared error, or Huber's loss (Huber 1964, https://doi.org/10.1214/aoms/1177703732).

    Attributes:
        delta: Errors beyond it count linearly: ½·error² up to delta, then delta·(|error| − ½·delta). None is
            the squared error, without the ½.
    """

    delta: float | None = None

    def __call__(self, values: Tensor, targets: Tensor) -> Tensor:
        """Mean loss. Both of one shape."""
        if self.delta is None:
            return functional.mse_loss(values, targets)
        return functional.huber_loss(values, targets, delta=self.delta)


def choice_loss(logits: Tensor, groups: Tensor, chosen: Tensor) -> Tensor:
    """Cross-entropy over the rows of each group, however many they are.

    Args:
        logits: Shape ``(num_rows, 1)``.
        groups: Which group each row belongs to, from 0 and in order. Shape ``(num_rows,)``.
        chosen: Number of the right row within each group. Shape ``(num_groups,)``.
    """
    return functional.cross_entropy(_by_group(logits, groups, padding=-torch.inf), chosen)


def listwise_loss(logits: Tensor, groups: Tensor, grades: Tensor) -> Tensor:
    """Softmax cross-entropy over each list against its grades as shares of their sum.

    ListNet's top-one loss (Cao et al. 2007, https://doi.org/10.1145/1273496.1273513) with the grades
    themselves instead of their softmax as the target, so that an irrelevant document's share is 0 (Bruch et
    al. 2019, https://doi.org/10.1145/3341981.3344221).

    Args:
        logits: Shape ``(num_rows, 1)``.
        groups: Which list each row belongs to, from 0 and in order. Shape ``(num_rows,)``.
        grades: At least 0, and in every list one above. Shape ``(num_rows,)``.
    """
    found = functional.log_softmax(_by_group(logits, groups, padding=-torch.inf), dim=1)
    wanted = _by_group(grades.unsqueeze(1), groups, padding=0.0)
    shares = wanted / wanted.sum(dim=1, keepdim=True)
    return -torch.where(shares > 0, shares * found, 0.0).sum(dim=1).mean()


def _by_group(rows: Tensor, groups: Tensor, *, padding: float) -> Tensor:
    """Rows side by side with those of their group. Shape ``(num_groups, largest group)``."""
    parts = torch.split(rows.squeeze(1), torch.bincount(groups).tolist())
    return pad_sequence(list(parts), batch_first=True, padding_value=padding)


def _discount(log_probability: Tensor, gamma: float) -> Tensor:
    """(1 − p)^gamma; kept above 0, where a power below 1 has no slope."""
    return (-torch.expm1(log_probability)).clamp_min(torch.finfo(log_probability.dtype).tiny) ** gamma


def _tensor(weights: ClassWeights, like: Tensor) -> Tensor | None:
    if weights == "balanced":
        raise ValueError("Parameter `class_weights` should be numbers by now. Found 'balanced'.")
    return None if weights is None else torch.tensor(weights, dtype=like.dtype, device=like.device)


def _weights(numerator: NDArray[np.int64] | float, counts: NDArray[np.int64]) -> tuple[float, ...]:
    """A label that never occurs, or always does, has nothing to weigh: 1."""
    ratios = np.where((counts > 0) & (np.asarray(numerator) > 0), numerator / np.maximum(counts, 1), 1.0)
    return tuple(float(ratio) for ratio in ratios)
