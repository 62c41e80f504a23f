"""A user's own module as a head, named by its import path."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from training.heads.base import PAIR, POOLED, SEGMENTED_STATES, STATES
from training.heads.bodies import ScaledSigmoid

INPUT_NAMES = (POOLED, PAIR, STATES, SEGMENTED_STATES)
"""What a head may read together: the service keeps vectors, or states, of a sequence."""


class BoundedHead(nn.Module):
    """Keeps another head's values within bounds.

    Args:
        head: As ``training.heads.Head`` describes.
        low: Bound that no value reaches.
        high: Likewise.
    """

    def __init__(self, head: nn.Module, low: float, high: float) -> None:
        super().__init__()
        self.head = head
        self.sigmoid = ScaledSigmoid(low, high)
        self.input_names: tuple[str, ...] = head.input_names  # type: ignore[assignment]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Shape of the head's logits."""
        values: Tensor = self.sigmoid(self.head(*inputs))
        return values


def find_head_class(path: str) -> type[Any]:
    """Import ``package.module:Class``.

    Raises:
        ValueError: If there is no such module or class, or the class is no head.
    """
    module_name, separator, class_name = path.partition(":")
    if not (module_name and separator and class_name):
        raise ValueError(f"expected package.module:Class, found {path!r}")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may raise anything
        raise ValueError(
            f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        heads = [name for name, value in vars(module).items()
                 if isinstance(value, type) and issubclass(value, nn.Module)]  # fmt: skip
        has = f"it has {', '.join(heads)}" if heads else "it has none"
        raise ValueError(f"module {module_name!r} has no torch.nn.Module named {class_name!r}; {has}")
    names = getattr(found, "input_names", None)
    if names not in INPUT_NAMES:
        known = " or ".join(map(str, INPUT_NAMES))
        raise ValueError(f"{path} should declare input_names as one of {known}, found {names!r}")
    chosen: type[Any] = found
    return chosen


def build_custom_head(
    path: str,
    *,
    hidden_size: int,
    num_outputs: int,
    parameters: Mapping[str, Any],
    value_range: tuple[float, float] | None = None,
) -> nn.Module:
    """Import a head and construct it.

    Args:
        path: ``package.module:Class``.
        hidden_size: Width of vectors and token states; the constructor's keyword.
        num_outputs: Columns of the logits; the constructor's keyword.
        parameters: Further keywords of the constructor.
        value_range: Bounds of a regression value.

    Raises:
        ValueError: If the class cannot be imported or constructed.
    """
    chosen = find_head_class(path)
    try:
        head = chosen(hidden_size=hidden_size, num_outputs=num_outputs, **parameters)
    except Exception as error:  # a user's constructor may raise anything
        raise ValueError(f"{path} cannot be constructed: {type(error).__name__}: {error}") from error
    return BoundedHead(head, *value_range) if value_range is not None else head
