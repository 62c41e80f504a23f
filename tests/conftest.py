"""Fixtures shared by all tests: the tiny run and bundle, made once a session."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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
def family_graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The graph of ``tests.support.families``' encoder of a family, with every pooling; 24 tokens at most.

    The exporter takes seconds, so each is made once a session.
    """
    from export.encoder import export_encoder
    from tests.support.families import poolings_of, tiny_family

    folder = tmp_path_factory.mktemp("families")

    @cache
    def build(model_type: str) -> Path:
        encoder, file = tiny_family(model_type), folder / f"{model_type}.onnx"
        export_encoder(encoder, file, poolings_of(encoder), 24)
        return file

    return build
