"""A real, tiny bundle with every precision, loaded as the settings say."""

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.manifest import BundleFileError, Precision
from service.assembly import launch
from service.models.loading import BundleLoader
from service.schemas import parse_input
from service.settings import Settings
from tests.export.conftest import rehash

TEXTS = ["my parcel was late", "a small blue lamp and a big red shoe", "please help"]


def loader(bundle: Path, **settings: Any) -> BundleLoader:
    return BundleLoader(Settings(bundle=bundle, provider="cpu", **settings))


def test_auto_takes_a_precision_by_measurement_and_says_so(
    reduced_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    auto = loader(reduced_bundle, precision="auto", threads=1)
    with caplog.at_level(logging.INFO, logger="bentoml.encodeonce"):
        bundle = auto.open(reduced_bundle)
        again = auto.open(reduced_bundle)
    (line,) = [record.message for record in caplog.records]
    assert f"Chose precision {bundle.precision} for tiny" in line
    assert "fp32 " in line
    assert "int8 " in line
    assert "fp16" not in line, "a CPU only casts it"
    assert again.precision is bundle.precision
    assert bundle.encoder_path.is_file()


def test_auto_is_fp32_where_there_is_nothing_else(
    tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="bentoml.encodeonce"):
        assert loader(tiny_bundle, precision="auto").open(tiny_bundle).precision is Precision.FP32
    assert not caplog.records


@pytest.mark.parametrize("threads", ["auto", 2])
def test_threads_are_divided_in_the_way_that_was_measured(
    reduced_bundle: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, threads: object
) -> None:
    monkeypatch.setattr("service.settings.usable_cpus", lambda: 2)
    auto = loader(reduced_bundle, threads=threads)
    with caplog.at_level(logging.INFO, logger="bentoml.encodeonce"):
        bundle = auto.open(reduced_bundle)
        first, second = auto.load_encoder(bundle), auto.load_encoder(bundle)
    (line,) = [record.message for record in caplog.records]
    assert "Chose threads " in line
    assert "1 x 2 " in line
    assert "2 x 1 " in line
    assert first.session.lanes == second.session.lanes == (2 if "Chose threads 2 x 1" in line else 1)
    for parts in (first, second):
        parts.tokenizer.close()


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.FP16])
async def test_every_precision_passes_its_self_check_and_a_hit_answers_like_a_miss(
    reduced_bundle: Path, precision: Precision
) -> None:
    settings = Settings(
        bundle=reduced_bundle, provider="cpu", precision=precision, cache_dtype="fp16", threads=1
    )
    runtime = await launch(settings)
    try:
        assert runtime.models.default.bundle.precision is precision
        inputs = [parse_input({"text": text}) for text in TEXTS]
        miss = await runtime.engine.predict(inputs, timeout_s=60)
        hit = await runtime.engine.predict(inputs, timeout_s=60)
        assert miss.usage.cache_hits == 0
        assert hit.usage.cache_hits == len(TEXTS)
        assert hit.answers == miss.answers
    finally:
        await runtime.close()


@pytest.mark.parametrize("damaged", ["encoder.onnx", "tokenizer.json", "heads/topic.onnx"])
def test_a_file_that_its_library_does_not_take_is_the_bundles_fault(
    tiny_bundle: Path, tmp_path: Path, damaged: str
) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))
    (copy / damaged).write_bytes(b"{}")
    rehash(copy, damaged)
    careful = loader(copy, threads=1)
    bundle = careful.open(copy)
    load = careful.load_heads if damaged.startswith("heads") else careful.load_encoder
    with pytest.raises(BundleFileError, match=f"Bundle {re.escape(str(copy))} cannot be loaded: "):
        load(bundle)


def test_auto_does_not_measure_a_graph_that_cannot_be_loaded(reduced_bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(reduced_bundle, tmp_path / "copy"))
    (copy / "encoder.int8.onnx").write_bytes(b"{}")
    rehash(copy, "encoder.int8.onnx")
    with pytest.raises(BundleFileError, match="cannot be loaded: "):
        loader(copy, precision="auto", threads=1).open(copy)
