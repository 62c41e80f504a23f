"""Part ru_stsb, which comes as one split, into 1,000 pairs to learn from and 500 to be measured by.

    python -m examples.russian.split_similarity

Writes ``data/russian/similarity_{train,dev}.jsonl``. Pairs that share a text stay on one side.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

TARGET = Path("data/russian")
NUM_DEV = 500


def connected(rows: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Rows that share a text, directly or through others."""
    group_of: dict[str, int] = {}
    members: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        texts = (row["text_a"], row["text_b"])
        joined = [number]
        for group in {group_of[text] for text in texts if text in group_of}:
            joined += members.pop(group)
        members[number] = joined
        for each in joined:
            group_of |= {rows[each]["text_a"]: number, rows[each]["text_b"]: number}
    return [sorted(group) for group in members.values()]


def split(rows: Sequence[dict[str, Any]], *, num_dev: int, seed: int = 0) -> tuple[list[int], list[int]]:
    """Indices to learn from and to be measured by; of the latter ``num_dev`` or a few more."""
    groups = connected(rows)
    dev: list[int] = []
    for place in np.random.default_rng(seed).permutation(len(groups)):
        if len(dev) >= num_dev:
            break
        dev += groups[place]
    aside = set(dev)
    return [number for number in range(len(rows)) if number not in aside], sorted(dev)


def main() -> None:
    """Write both files."""
    source = Path(os.environ.get("RU_DATA", "../shared/data")) / "ru_stsb" / "dev_only.jsonl"
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, chosen in zip(("train", "dev"), split(rows, num_dev=NUM_DEV), strict=True):
        lines = [json.dumps(rows[number], ensure_ascii=False) + "\n" for number in chosen]
        (TARGET / f"similarity_{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{TARGET}/similarity_{name}.jsonl: {len(chosen)} pairs")


if __name__ == "__main__":
    main()
