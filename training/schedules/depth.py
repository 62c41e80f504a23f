"""The encoder by depth: rates that decay towards the embeddings, layers frozen, or thawed from the top."""

import re
from collections.abc import Iterable

from torch import nn

LAYER = re.compile(r"(?:^|\.)(?:layers?|albert_layer_groups|blocks?|h)\.(\d+)\.")
"""How the families of transformers name their layers: ``encoder.layer.3.…``, ``layers.3.…``."""
EMBEDDINGS = re.compile(
    r"(?:^|\.)(?:embeddings?|embed_\w+|wte|wpe|rel_embeddings|relative_attention_bias"
    r"|embeddings_project|embedding_hidden_mapping_in|encoder\.conv)\."
)
"""What lies below the first layer, or is read by every layer."""
RELATIVE = re.compile(r"(?:^|\.)encoder\.rel_embeddings\.")
NORM = re.compile(r"(?:^|\.)encoder\.LayerNorm\.")
"""DeBERTa's norm of the relative positions that every layer reads; without these, one on top of all."""


def count_layers(names: Iterable[str]) -> int:
    """Transformer layers with weights of their own, by their parameters' names."""
    return 1 + max((int(found[1]) for name in names if (found := LAYER.search(name))), default=-1)


def depths_of(names: Iterable[str]) -> dict[str, int]:
    """Depth of each parameter: 0 for embeddings, 1 for the first layer, and so on.

    What is in neither (a final norm, a pooler) lies on top and counts with the last layer.

    Args:
        names: Of all parameters of an encoder.
    """
    every = list(names)
    top = count_layers(every)
    is_relative = any(map(RELATIVE.search, every))

    def depth(name: str) -> int:
        if layer := LAYER.search(name):
            return int(layer[1]) + 1
        return 0 if EMBEDDINGS.search(name) or (is_relative and NORM.search(name)) else top

    return {name: depth(name) for name in every}


def freeze_lowest(encoder: nn.Module, layers: int) -> None:
    """Let the embeddings and the lowest layers keep their weights: no gradient is computed for them.

    Args:
        encoder: Of transformers.
        layers: At least one, and fewer than it has.
    """
    parameters = dict(encoder.named_parameters())
    for name, depth in depths_of(parameters).items():
        parameters[name].requires_grad_(depth > layers)


def layerwise_factor(depth: int, num_layers: int, *, decay: float) -> float:
    """``decay^(num_layers − depth)``: 1 for the last layer, smallest for the embeddings.

    Discriminative fine-tuning of ULMFiT (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146).

    Args:
        depth: As ``depths_of``.
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
