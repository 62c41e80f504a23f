"""``--bento-model`` keeps a bundle in BentoML's model store, where the service can be pointed at it."""

import os
import subprocess
import sys
from pathlib import Path

from export.manifest import read_manifest, verify_files

SAVE = """
import sys
from pathlib import Path
from export.__main__ import save_to_bento_store
from export.errors import ExportError
from export.manifest import read_manifest
bundle = Path(sys.argv[1])
try:
    print(save_to_bento_store(bundle, sys.argv[2], read_manifest(bundle)))
except ExportError as error:
    print(f"refused: {error}")
"""


def save(bundle: Path, name: str, home: Path) -> str:
    """In a process of its own: BentoML reads its home once, at import."""
    environment = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SAVE, bundle, name],
        env=environment, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout.strip()


def test_a_saved_bundle_is_whole_and_carries_its_labels(tiny_bundle: Path, tmp_path: Path) -> None:
    tag = save(tiny_bundle, "support", tmp_path)
    name, version = tag.split(":")
    stored = tmp_path / "models" / name / version
    manifest = read_manifest(stored)
    verify_files(stored, manifest)
    assert manifest == read_manifest(tiny_bundle)
    description = (stored / "model.yaml").read_text()
    assert f"bundle: {manifest.name}" in description
    assert manifest.version in description


def test_a_name_that_the_store_does_not_take_is_refused_and_nothing_stays(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    assert save(tiny_bundle, "no spaces, please", tmp_path).startswith("refused: ")
    assert not list((tmp_path / "models").glob("*/*/manifest.json"))
