"""What decoders answer from, made by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.inputs import TaskInput
from service.kinds.base import Readings
from service.tokenization import TokenizedInput


def readings_of(*each: tuple[TaskInput, Any], tokens: Sequence[Sequence[TokenizedInput]] = ()) -> Readings:
    """Inputs with their logits, and their tokens where the decoder reads them."""
    return Readings(
        inputs=[given for given, _ in each],
        tokens=tokens or [()] * len(each),
        logits=np.concatenate([np.asarray(logits, dtype=np.float32) for _, logits in each]),
        num_rows=[len(logits) for _, logits in each],
    )


def rows_of(logits: Any) -> Readings:
    """One text for each row of logits."""
    return readings_of(*(("text", [row]) for row in logits))
