"""The bundle that speed is measured on: MiniLM with a 3-label head and five further tasks on single texts.

    python -m loadtests.bundle [--output bundles/bench]

The encoder is the packaged all-MiniLM-L6-v2, untouched, in fp32 and int8; the heads are two steps from
random. Speed does not depend on what the heads have learned, and so the bundle needs no data. It takes about
a minute, and is kept.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from export.manifest import Precision

DEFAULT_BUNDLE = Path("bundles/bench")
NAME = "bench"
ANY_LOSS = 1000.0
"""Points. Heads that have learned nothing lose and win at random."""

SENTENCES = (
    "The bridge was closed for repairs all summer.",
    "Who wrote the letter that nobody answered?",
    "It is a warm and patient film about two sisters.",
    "He forgot the keys again, as he always does.",
    "Which train goes to the coast after nine?",
    "The soup was cold and the service slow.",
    "A storm took the roof off the old barn.",
    "How do I change the battery of this watch?",
    "She plays the cello better than anyone I know.",
    "The second half drags, but the ending is worth it.",
    "Why is the sky darker at the horizon tonight?",
    "They sold the house and moved to the mountains.",
)


def bench_config(data: str) -> dict[str, Any]:
    """The training configuration. ``data`` is a file with the rows of ``bench_rows``."""
    source = {"data": {"train": data, "dev": data}}
    mlp = {"type": "mlp", "hidden": [256]}

    def classification(num_labels: int, **head: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML values
        labels = [f"label_{index}" for index in range(num_labels)]
        return {"kind": "classification", "label": f"of_{num_labels}", "labels": labels, **source, **head}

    return {
        "name": NAME,
        "encoder": {
            "model": "sentence-transformers/all-MiniLM-L6-v2",
            "max_length": 256,
            "pooling": "mean",
            "train": "frozen",
        },
        "tasks": {
            "three_labels": classification(3),
            "two_labels": classification(2),
            "five_labels": classification(5),
            "eight_labels": classification(8, head=mlp),
            "value": {"kind": "regression", "label": "value", **source},
            "bounded_value": {"kind": "regression", "label": "value", "range": [0, 5], "head": mlp, **source},
        },
        "training": {"steps": 2, "batch_size": 4, "sampling": {"name": "round_robin"}},
        "selection": {"fraction": 0.25},
    }


def bench_rows() -> list[dict[str, Any]]:
    """One row for each sentence and each pair of them, with a label for every task.

    The pairs are what int8 is calibrated on beside the sentences.
    """
    texts = [*SENTENCES, *(f"{first} {second}" for first, second in permutations(SENTENCES, 2))]
    return [
        {
            "text": text,
            **{f"of_{count}": f"label_{index % count}" for count in (2, 3, 5, 8)},
            "value": float(index % 6),
        }
        for index, text in enumerate(texts)
    ]


def build_bench_bundle(bundle: Path) -> None:
    """Train for two steps and export."""
    train_and_export(bench_config, bundle)


def train_and_export(
    config_of: Callable[[str], dict[str, Any]], bundle: Path, *, on_run: Callable[[Path], None] | None = None
) -> None:
    """A bundle in fp32 and int8 of a run on ``bench_rows``.

    Args:
        config_of: The file of those rows → the training configuration.
        bundle: Must not exist.
        on_run: Told the run's folder once the bundle is there; the folder is gone afterwards.
    """
    import json

    import yaml
    from rich.console import Console

    from export.bundle import export_bundle
    from export.precisions.build import PrecisionWishes
    from training.commands.fit import fit

    with tempfile.TemporaryDirectory(prefix="loadtests-") as name:
        folder = Path(name)
        data = folder / "rows.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in bench_rows()), encoding="utf-8")
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(config_of(str(data)), sort_keys=False), encoding="utf-8")
        fit(config, folder / "run", resume=False, console=Console(quiet=True))
        bundle.parent.mkdir(parents=True, exist_ok=True)
        wishes = PrecisionWishes(precisions=(Precision.INT8,), budget=ANY_LOSS)
        export_bundle(folder / "run", bundle, version="1", wishes=wishes)
        if on_run is not None:
            on_run(folder / "run")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the bundle. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bundle", description=__doc__)
    parser.add_argument("--output", type=Path, default=DEFAULT_BUNDLE)
    build_bench_bundle(parser.parse_args(arguments).output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
