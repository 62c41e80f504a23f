"""Gradual unfreezing, applied to an encoder."""

from collections.abc import Iterable

from torch import nn

from training.schedules.depth import count_layers, depths_of, lowest_trained_depth


class Thawing:
    """Lets an encoder's layers train one after the other, from the top.

    Which layers train depends on the number of steps alone, so there is nothing to save. A frozen parameter
    has no gradient, and the optimizer leaves it alone.

    Args:
        named: The encoder's parameters.
        every: Steps between two thaws.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], *, every: int) -> None:
        parameters = dict(named)
        self._num_layers = count_layers(parameters)
        self._depths = [(depth, parameters[name]) for name, depth in depths_of(parameters).items()]
        self._every = every

    def begin_step(self, step: int) -> None:
        """Freeze and thaw for the step that follows ``step`` others."""
        lowest = lowest_trained_depth(step, self._num_layers, every=self._every)
        for depth, parameter in self._depths:
            parameter.requires_grad_(depth >= lowest)
