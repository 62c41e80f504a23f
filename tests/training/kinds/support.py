"""Examples, tokenizers and batches for the tests of kinds."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from training.encoder import load_tokenizer_json
from training.examples import Example, Examples
from training.tokenization import build_tokenizer


def examples_of(pairs: Iterable[tuple[dict[str, Any], Any]]) -> Examples:
    """Examples of (input, target) pairs."""
    items = (Example(input=given, target=target, row=row) for row, (given, target) in enumerate(pairs, 1))
    return Examples(origin="rows.jsonl", items=tuple(items))


def tokenizer_of(encoder: Path, max_length: int = 24) -> Tokenizer:
    return build_tokenizer(load_tokenizer_json(str(encoder)), max_length)
