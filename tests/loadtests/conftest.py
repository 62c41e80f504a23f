import json
from pathlib import Path

import pytest
import torch

from tests.support.tiny import random_text


@pytest.fixture
def small_data(tmp_path: Path) -> Path:
    """A data folder in the shape of SST-5 and Quora, with texts of the tiny vocabulary."""
    generator = torch.Generator().manual_seed(0)
    folder = tmp_path / "data"
    for name, fields in {
        "sst5/train": ["text"],
        "sst5/dev": ["text"],
        "quora/dev": ["text_a", "text_b"],
    }.items():
        rows = [{field: random_text(generator) for field in fields} for _ in range(150)]
        file = folder / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder
