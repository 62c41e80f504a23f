"""The encoder by depth: rates that decay towards the embeddings, layers frozen, or thawed from the top."""

import re
from collections.abc import Iterable

from torch import nn

LAYER = re.compile(r"(?:^|\.)(?:layers?|albert_layer_groups|blocks?|h)\.(\d+)\.")
"""How the families of transformers name their layers: ``encoder.layer.3.…``, ``layers.3.…``."""
EMBEDDINGS = re.compile(r"(?:^|\.)(?:embeddings?|embed_\w+|wte|wpe|rel_embeddings)\.")


def count_layers(names: Iterable[str]) -> int:
    """Transformer layers with weights of their own, by their parameters' names."""
    return 1 + max((int(found[1]) for name in names if (found := LAYER.search(name))), default=-1)


def depth_of(name: str, num_layers: int) -> int:
    """Depth of a parameter: 0 for embeddings, 1 for the first layer, ``num_layers`` for the last.

    What is in neither (a final norm, a pooler) lies on top and counts with the last layer.
    """
    layer = LAYER.search(name)
    if layer:
        return int(layer[1]) + 1
    return 0 if EMBEDDINGS.search(name) else num_layers


def freeze_lowest(encoder: nn.Module, layers: int) -> None:
    """Let the embeddings and the lowest layers keep their weights: no gradient is computed for them.

    Args:
        encoder: Of transformers.
        layers: At least one, and fewer than it has.
    """
    num_layers = count_layers(name for name, _ in encoder.named_parameters())
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(depth_of(name, num_layers) > layers)


def layerwise_factor(depth: int, num_layers: int, *, decay: float) -> float:
    """``decay^(num_layers − depth)``: 1 for the last layer, smallest for the embeddings.

    Discriminative fine-tuning of ULMFiT (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146).

    Args:
        depth: As ``depth_of``.
        num_layers: Of the encoder.
        decay: In (0, 1]; 1 gives every layer the same rate.
    """
    return float(decay ** (num_layers - depth))


def lowest_trained_depth(step: int, num_layers: int, *, every: int) -> int:
    """Gradual unfreezing of ULMFiT: the lowest depth that trains in a step.

    Heads alone for the first ``every`` steps, then one layer more from the top after every ``every`` steps,
    the embeddings last.

    Args:
        step: Counted from 0.
        num_layers: Of the encoder.
        every: Steps between two thaws.

    Returns:
        Between 0 (everything trains) and ``num_layers + 1`` (only the heads).
    """
    return max(0, num_layers + 1 - step // every)
