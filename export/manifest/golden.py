"""Golden examples: inputs with the torch model's logits, which a healthy bundle must answer."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from export.manifest.entries import Entry
from export.manifest.errors import BundleFileError
from export.manifest.faults import describe_faults
from export.manifest.names import GOLDEN_FILE


def _as_rows(logits: Any) -> Any:  # noqa: ANN401 - before validation
    """Bundles of schema 1 have one row, written without its brackets."""
    is_flat = isinstance(logits, list | tuple) and all(isinstance(each, int | float) for each in logits)
    return (logits,) if is_flat else logits


class GoldenExample(Entry):
    """One input with the torch model's logits: what a healthy bundle must answer."""

    task: str
    input: dict[str, Any]
    """As in the HTTP API: ``{"text": …}``, ``{"query": …, "documents": […]}``."""
    logits: Annotated[tuple[tuple[float, ...], ...], BeforeValidator(_as_rows)]
    """One row for a sequence or pair: one for a text, one for each document or choice. Of a token-level kind,
    one for each token of each window, special tokens included."""


def read_golden(bundle: Path) -> list[GoldenExample]:
    """Read the golden examples.

    Raises:
        BundleFileError: If it is no text, or a line is not a golden example; the message names it.
    """
    examples = []
    try:
        text = (bundle / GOLDEN_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleFileError(f"{GOLDEN_FILE} cannot be read: {error}") from None
    lines = text.removesuffix("\n").split("\n")  # not splitlines(): a text may hold U+2028
    for number, line in enumerate(lines, 1):
        try:
            examples.append(GoldenExample.model_validate_json(line))
        except ValidationError as error:
            # From None: the cause would show the line's text in a log.
            raise BundleFileError(f"{GOLDEN_FILE} line {number}: {describe_faults(error)}") from None
    return examples


def deviation(found: Sequence[float], expected: Sequence[float]) -> float:
    """Largest difference between two vectors: absolute where the expected number is below 1, relative above.

    One tolerance then fits logits, probabilities and a value between 0 and 5 or 0 and 1000.

    Args:
        found: Numbers of the graph.
        expected: Numbers of the torch model, as many.

    Returns:
        Not a number if any number is not: compare with ``not deviation <= tolerance``.
    """
    gaps = [abs(f - e) / max(1.0, abs(e)) for f, e in zip(found, expected, strict=True)]
    return math.nan if any(map(math.isnan, gaps)) else max(gaps, default=0.0)
