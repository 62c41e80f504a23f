"""Fixtures shared by all tests: the tiny run and bundle, made once a session."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.support.families import ExportedFamily

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
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers folder with a tiny random BERT."""
    from tests.support.tiny import write_tiny_encoder

    return write_tiny_encoder(tmp_path_factory.mktemp("weights") / "encoder")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A finished training run of the tiny encoder."""
    from tests.support.tiny import train_tiny_run

    return train_tiny_run(tmp_path_factory.mktemp("tiny"), encoder=tiny_encoder)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Path:
    """An exported bundle of the tiny run. Copy it before changing it."""
    from export.bundle import export_bundle

    bundle = tmp_path_factory.mktemp("bundles") / "tiny"
    export_bundle(tiny_run, bundle, version="1")
    return bundle


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
def grown_run(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, tiny_encoder: Path) -> Path:
    """Two tasks more, their heads trained on the tiny bundle's encoder."""
    from tests.support.growing import grow

    return grow(tmp_path_factory.mktemp("grown"), tiny_bundle, tiny_encoder)


@pytest.fixture(scope="session")
def grown_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, grown_run: Path) -> Path:
    """The tiny bundle with the heads of ``grown_run``. Copy it before changing it."""
    from export.joining import join_bundle

    bundle = tmp_path_factory.mktemp("bundles") / "grown"
    join_bundle(grown_run, tiny_bundle, bundle, version="2")
    return bundle


@pytest.fixture(scope="session")
def exported_family(tmp_path_factory: pytest.TempPathFactory) -> "Callable[[str], ExportedFamily]":
    """By ``model_type``. Those that differ most from BERT go the whole line, from training to a bundle.

    The exporter takes seconds, so each is made once a session.
    """
    from tests.support.families import build_family, export_family, write_family

    @cache
    def build(model_type: str) -> "ExportedFamily":
        folder = tmp_path_factory.mktemp(model_type)
        if model_type not in ("albert", "deberta-v2", "roberta"):
            return export_family(folder, model_type)
        weights = write_family(folder / "weights", model_type)
        return build_family(folder, weights, has_pooler=model_type != "deberta-v2")

    return build
