"""The whole line, from weights to answers, on families that differ from BERT."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from export.manifest import Layout
from service.assembly import Runtime, launch
from service.inputs import PairInput
from service.settings import Provider, Settings
from tests.support.families import MAX_POSITIONS, ExportedFamily, build_family, load_family, write_family
from training.errors import ConfigError

TIMEOUT_S = 60.0
TEXTS = [
    "the lamp arrived broken",
    "where is my order",
    "great",
    "a very slow refund for the blue shoe and lamp",
]
RUBERT = Path(os.environ.get("RUSSIAN_ENCODER", "../shared/weights/rubert_tiny2_silero"))


async def serve(bundle: Path) -> None:
    """Start, which checks the golden examples against the torch model; then ask alone and in company."""
    runtime = await launch(Settings(bundle=bundle, provider=Provider.CPU, threads=1, row_len=48))
    try:
        together = await ask(runtime, TEXTS)
        for text, found in zip(TEXTS, together, strict=True):
            runtime.cache.clear()
            (alone,) = await ask(runtime, [text])
            np.testing.assert_allclose(found, alone, atol=1e-4)
    finally:
        await runtime.close()


async def ask(runtime: Runtime, texts: list[str]) -> list[list[float]]:
    """Scores of both tasks, on each text and on it paired with the first one."""
    single = await runtime.engine.predict(texts, tasks=["sentiment"], timeout_s=TIMEOUT_S)
    pairs = [PairInput(text=text, text_pair=TEXTS[0]) for text in texts]
    paired = await runtime.engine.predict(pairs, tasks=["paraphrase"], timeout_s=TIMEOUT_S)
    return [
        [*one["sentiment"]["scores"].values(), *two["paraphrase"]["scores"].values()]
        for one, two in zip(single.answers, paired.answers, strict=True)
    ]


@pytest.mark.parametrize(
    ("family", "layout", "offset"),
    [("roberta", Layout.PACKED, 2), ("deberta-v2", Layout.PADDED, 0)],
)
def test_a_family_is_trained_exported_and_served(
    exported_family: Callable[[str], ExportedFamily], family: str, layout: Layout, offset: int
) -> None:
    exported = exported_family(family)
    assert (exported.entry.layout, exported.entry.position_offset) == (layout, offset)
    assert exported.bundle is not None
    asyncio.run(serve(exported.bundle))


def test_a_max_length_beyond_the_positions_is_refused_before_training(tmp_path: Path) -> None:
    weights = write_family(tmp_path / "weights", "roberta")
    with pytest.raises(
        ConfigError, match=f"max_length: {MAX_POSITIONS}, but the encoder has {MAX_POSITIONS - 2}"
    ):
        build_family(tmp_path, weights, has_pooler=True, max_length=MAX_POSITIONS)


def test_a_pooling_that_a_family_lacks_is_refused_before_training(tmp_path: Path) -> None:
    weights = write_family(tmp_path / "weights", "electra")
    with pytest.raises(ConfigError, match=r"family 'electra' have none\. Use cls, mean or max"):
        build_family(tmp_path, weights, has_pooler=True)


@pytest.mark.slow
@pytest.mark.skipif(not RUBERT.is_dir(), reason="the Russian weights are not here")
def test_the_russian_encoder_is_trained_exported_and_served(tmp_path: Path) -> None:
    """Its weights are stored as float16."""
    build_family(tmp_path, RUBERT, has_pooler=True, max_length=64)
    exported = load_family(tmp_path, "bert")
    assert {parameter.dtype for parameter in exported.encoder.parameters()} == {torch.float32}
    assert (exported.entry.hidden_size, exported.entry.num_layers) == (312, 3)
    assert exported.bundle is not None
    asyncio.run(serve(exported.bundle))
