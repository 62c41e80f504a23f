"""How often TERRa's premises come again: what a model that remembers them is told.

    python -m examples.russian.shared_premises

Reads ``RU_DATA/terra/{train,dev}.jsonl``.
"""

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[dict[str, Any]]


def twins(rows: Rows) -> tuple[int, int]:
    """Premises that stand there twice, and those among them whose two labels differ."""
    labels: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        labels[row["text_a"]].append(row["label"])
    pairs = [each for each in labels.values() if len(each) == 2]
    return len(pairs), sum(first != second for first, second in pairs)


def main() -> None:
    """Print the counts."""
    folder = Path(os.environ.get("RU_DATA", "../shared/data")) / "terra"
    train, dev = (
        [json.loads(line) for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        for split in ("train", "dev")
    )
    known = {row["text_a"] for row in train}
    pairs, opposed = twins(train)
    print(f"train: {len(train)} rows, {pairs} premises twice, {opposed} of them with both labels")
    print(f"dev: {len(dev)} rows, {sum(row['text_a'] in known for row in dev)} with a premise of train")


if __name__ == "__main__":
    main()
