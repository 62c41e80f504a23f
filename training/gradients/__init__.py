"""The gradient of one optimizer step: losses weighed, backward passes, task gradients summed or combined.

``SummedGradients`` is one backward pass over the weighted sum. ``CombinedGradients`` is one backward pass a
task, kept apart for an aggregator. Both leave the result in ``.grad``, for clipping and the optimizer.
"""

from training.gradients.base import BatchLoss, GradientStep, StepReport
from training.gradients.combined import CombinedGradients
from training.gradients.summed import SummedGradients

__all__ = ["BatchLoss", "CombinedGradients", "GradientStep", "StepReport", "SummedGradients"]
