"""The tiny bundle, whole or damaged, and an export that skips the slow exporter."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.manifest import MANIFEST_FILE, Manifest, hash_file, read_manifest
from training.assembly.trained import TrainedModel, load_model


@pytest.fixture(scope="session")
def trained(tiny_run: Path) -> TrainedModel:
    """The torch side of ``tiny_bundle``. Read only."""
    return load_model(tiny_run)


@pytest.fixture(scope="session")
def manifest(tiny_bundle: Path) -> Manifest:
    return read_manifest(tiny_bundle)


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle, to be damaged."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def copied_graphs(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Exports of ``tiny_run`` take ``tiny_bundle``'s graphs. Call it with a file to perturb that graph."""
    perturbed: set[str] = set()

    def copy(source: str, target: Path) -> None:
        onnx.save(onnx.load(tiny_bundle / source), target)  # with its weights, as the exporter writes it
        if source in perturbed:
            perturb(target)

    def copy_heads(_: Mapping[str, Any], files: Mapping[str, Path], **__: int) -> None:
        for task, file in files.items():
            copy(f"heads/{task}.onnx", file)

    monkeypatch.setattr("export.bundle.export_encoder", lambda _, file, *__: copy("encoder.onnx", file))
    monkeypatch.setattr("export.bundle.export_heads", copy_heads)
    return perturbed.add


def perturb(graph: Path) -> None:
    """Stretch the first weight matrix of a graph a little."""
    model = onnx.load(graph)
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.05), weight.name))
    onnx.save(model, graph)


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads((bundle / MANIFEST_FILE).read_text())
    change(raw)
    (bundle / MANIFEST_FILE).write_text(json.dumps(raw))


def rehash(bundle: Path, file: str) -> None:
    """Make the manifest agree with a changed file, as someone who edits a bundle by hand would."""
    entry = hash_file(bundle / file).model_dump()
    edit_manifest(bundle, lambda raw: raw["files"].update({file: entry}))
