"""Fixtures shared by all tests: the tiny run and bundle, made once a session."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from hypothesis import HealthCheck, settings

from tests.support.once import WORKER, made_once

if TYPE_CHECKING:
    from tests.support.families import ExportedFamily

WHOLE_LINE = ("deberta-v2", "roberta")
"""Of the families that are exported, those that go from training to a bundle."""

# Tiny tensors: threads that wait for each other cost more than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "1")

# A busy machine is no failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all workers of the session together."""
    base = tmp_path_factory.getbasetemp()
    return base if WORKER is None else base.parent


@pytest.fixture(scope="session")
def tiny_encoder(session_folder: Path) -> Path:
    """A transformers folder with a tiny random BERT."""
    from tests.support.tiny import write_tiny_encoder

    return made_once(session_folder / "weights", lambda at: write_tiny_encoder(at / "encoder")) / "encoder"


@pytest.fixture(scope="session")
def tiny_run(session_folder: Path, tiny_encoder: Path) -> Path:
    """A finished training run of the tiny encoder."""
    from tests.support.tiny import train_tiny_run

    return made_once(session_folder / "tiny", lambda at: train_tiny_run(at, encoder=tiny_encoder)) / "run"


@pytest.fixture(scope="session")
def tiny_bundle(session_folder: Path, tiny_run: Path) -> Path:
    """An exported bundle of the tiny run. Copy it before changing it."""

    def make(folder: Path) -> None:
        from export.bundle import export_bundle  # onnx takes seconds to import

        export_bundle(tiny_run, folder / "tiny", version="1")

    return made_once(session_folder / "bundles", make) / "tiny"


@pytest.fixture(scope="session")
def tiny_service(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Iterator[str]:
    """The address of a real ``bentoml serve`` process with the tiny bundle. It must not be stopped."""
    from tests.support.service_process import free_port, start_service, stop, wait_until_ready

    port, log = free_port(), tmp_path_factory.mktemp("service") / "log"
    process = start_service(port, log, ENCODEONCE_BUNDLE=str(tiny_bundle))
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(process, address, log)
        yield address
    finally:
        stop(process)


@pytest.fixture(scope="session")
def reduced_bundle(session_folder: Path, tiny_run: Path, tiny_bundle: Path) -> Path:
    """The tiny bundle with int8 and fp16 beside fp32, whatever they lose. Copy it before changing it."""

    def copy_heads(_: object, files: Mapping[str, Path], **__: int) -> None:
        for task, file in files.items():
            shutil.copy(tiny_bundle / f"heads/{task}.onnx", file)

    def make(folder: Path) -> None:
        from export.bundle import export_bundle
        from export.precisions.build import REDUCED, PrecisionWishes

        with pytest.MonkeyPatch.context() as patch:  # the exporter's graphs are there already
            encoder = onnx.load(tiny_bundle / "encoder.onnx")
            patch.setattr("export.bundle.export_encoder", lambda _, file, *__: onnx.save(encoder, file))
            patch.setattr("export.bundle.export_heads", copy_heads)
            wishes = PrecisionWishes(precisions=REDUCED, budget=1000)
            export_bundle(tiny_run, folder / "reduced", version="1", wishes=wishes)

    return made_once(session_folder / "reduced_bundles", make) / "reduced"


@pytest.fixture(scope="session")
def grown_run(session_folder: Path, tiny_bundle: Path, tiny_encoder: Path) -> Path:
    """Two tasks more, their heads trained on the tiny bundle's encoder."""
    from tests.support.growing import grow

    return made_once(session_folder / "grown", lambda at: grow(at, tiny_bundle, tiny_encoder)) / "run"


@pytest.fixture(scope="session")
def grown_bundle(session_folder: Path, tiny_bundle: Path, grown_run: Path) -> Path:
    """The tiny bundle with the heads of ``grown_run``. Copy it before changing it."""
    from export.joining import join_bundle

    def make(folder: Path) -> None:
        join_bundle(grown_run, tiny_bundle, folder / "grown", version="2")

    return made_once(session_folder / "grown_bundles", make) / "grown"


@pytest.fixture(scope="session")
def kinds_run(session_folder: Path, tiny_encoder: Path) -> Path:
    """A finished run with a task of every kind, and every head and pooling."""
    from tests.support.tiny_kinds import train_kinds_run

    return made_once(session_folder / "kinds", lambda at: train_kinds_run(at, encoder=tiny_encoder)) / "run"


@pytest.fixture(scope="session")
def kinds_bundle(session_folder: Path, kinds_run: Path) -> Path:
    """An exported bundle of that run. Copy it before changing it."""

    def make(folder: Path) -> None:
        from export.bundle import export_bundle

        export_bundle(kinds_run, folder / "kinds", version="1")

    return made_once(session_folder / "kinds_bundles", make) / "kinds"


@pytest.fixture(scope="session")
def exported_family(session_folder: Path) -> "Callable[[str], ExportedFamily]":
    """By ``model_type``. Those that differ most from BERT go the whole line, from training to a bundle.

    The exporter takes seconds, so each is made once a session.
    """
    from tests.support.families import build_family, export_family, load_family, write_family

    def make(folder: Path, model_type: str) -> None:
        if model_type in WHOLE_LINE:
            weights = write_family(folder / "weights", model_type)
            build_family(folder, weights, has_pooler=model_type != "deberta-v2")
        else:
            export_family(folder, model_type)

    @cache
    def build(model_type: str) -> "ExportedFamily":
        folder = made_once(session_folder / model_type, lambda at: make(at, model_type))
        return load_family(folder, model_type)

    return build
