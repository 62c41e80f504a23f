"""The same weights for both sides: a bundle for us, and a transformers folder a task for the peers.

    python -m loadtests.peers.models [--bundle bundles/peers] [--folders .peers/models]

Peers take standard classes only. So the tasks read BERT's pooler through one linear layer, which is what
``BertForSequenceClassification`` computes: the encoder is the packaged all-MiniLM-L6-v2, untouched, and the
six heads learn a dozen sentences by heart, so that scores differ from text to text. It takes a few minutes.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export.manifest import TOKENIZER_FILE, read_manifest
from loadtests.bundle import bench_config, train_and_export

DEFAULT_BUNDLE = Path("bundles/peers")
DEFAULT_FOLDERS = Path(".peers/models")
TASKS: Mapping[str, int] = {
    "three_labels": 3,
    "two_labels": 2,
    "five_labels": 5,
    "eight_labels": 8,
    "other_three": 3,
    "other_two": 2,
}
"""Task → number of labels. The first is the one that is asked where one is."""
STEPS = 300
"""Over encodings computed once. Untrained heads would have even scores, and no comparison could fail."""


def peers_config(data: str) -> dict[str, Any]:
    """The training configuration. ``data`` is a file with the rows of ``loadtests.bundle.bench_rows``."""
    config = bench_config(data)
    source = {"data": {"train": data, "dev": data}, "kind": "classification", "head": {"type": "linear"}}
    config["name"] = "peers"
    config["encoder"] |= {"pooling": "pooler"}
    config["tasks"] = {
        task: {**source, "label": f"of_{count}", "labels": [f"label_{index}" for index in range(count)]}
        for task, count in TASKS.items()
    }
    config["training"] |= {"steps": STEPS, "batch_size": 32, "learning_rate": 0.01}
    return config


def build(bundle: Path, folders: Path) -> None:
    """Make the bundle and, of the same run, the peers' folders."""
    train_and_export(peers_config, bundle, on_run=lambda run: write_folders(run, bundle, folders))


def write_folders(run: Path, bundle: Path, folders: Path) -> None:
    """A transformers folder for each classification task, computing what the bundle computes.

    Args:
        run: Whose heads are linear layers over the pooler.
        bundle: Exported from it.
        folders: Gets a folder a task; must not exist.
    """
    from loadtests.peers.standard import write_folder
    from training.assembly.trained import load_model

    trained, manifest = load_model(run), read_manifest(bundle)
    staging = folders.with_name(f".staging-{folders.name}")
    shutil.rmtree(staging, ignore_errors=True)
    for task, entry in manifest.tasks.items():
        assert entry.labels is not None, "peers classify"
        write_folder(
            staging / task,
            trained.model,
            task,
            entry.labels,
            temperature=entry.temperature,
            tokenizer=bundle / TOKENIZER_FILE,
            max_length=manifest.encoder.max_length,
        )
    staging.rename(folders)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build bundle and folders. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.peers.models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--folders", type=Path, default=DEFAULT_FOLDERS)
    options = parser.parse_args(arguments)
    build(options.bundle, options.folders)
    return 0


if __name__ == "__main__":
    sys.exit(main())
