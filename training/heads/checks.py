"""Does a head give logits of the right shape? Asked of heads whose code is not ours, before any training."""

import torch
from torch import nn

EXAMPLE_SEGMENTS = ((0, 0, 0, 1, 1), (2, 2, 2, 2, -1))
NUM_SEGMENTS = 3


@torch.no_grad()
def check_logits(
    head: nn.Module,
    *,
    hidden_size: int,
    num_outputs: int,
    is_token_level: bool,
    num_vectors: int | None = None,
) -> None:
    """Run a head once on zeros.

    Args:
        head: As ``training.heads.Head`` describes.
        hidden_size: Width of vectors and token states.
        num_outputs: Columns of the logits.
        is_token_level: Whether there should be logits for every token.
        num_vectors: That a layered pooling gives for a sequence; None for a pooling that gives one vector.

    Raises:
        ValueError: If it raises, or gives another shape than its kind needs.
    """
    segment_ids = torch.tensor(EXAMPLE_SEGMENTS)
    layered = () if num_vectors is None else (num_vectors,)
    vectors = torch.zeros(NUM_SEGMENTS, *layered, hidden_size)
    inputs = {
        "pooled": vectors,
        "pooled_a": vectors,
        "pooled_b": vectors,
        "last_hidden_state": torch.zeros(*segment_ids.shape, hidden_size),
        "segment_ids": segment_ids,
    }
    expected = (*segment_ids.shape, num_outputs) if is_token_level else (NUM_SEGMENTS, num_outputs)
    was_training = head.training
    names: tuple[str, ...] = head.input_names  # type: ignore[assignment]
    given = " and ".join(f"{name} {tuple(inputs[name].shape)}" for name in names)
    try:
        logits = head.eval()(*(inputs[name] for name in names))
    except Exception as error:  # a user's forward may raise anything
        raise ValueError(f"it fails on {given}: {type(error).__name__}: {error}") from error
    finally:
        head.train(was_training)
    found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != expected:
        raise ValueError(f"from {given} it gives {found}, expected logits of shape {expected}")
