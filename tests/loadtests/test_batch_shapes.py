from pathlib import Path

import numpy as np
import pytest

from export.manifest import Precision
from loadtests.bare_loop import BareLoop
from loadtests.batch_shapes import InRows, in_turn, main, table, ways_to_encode
from loadtests.ratios import Spread
from service.encoding import PackedEncoder
from service.lanes import Crew, Way
from service.packing import BucketedRows, SingleRows
from service.sessions import OnnxEncoderSession
from service.settings import Provider
from service.tokenization import TokenizedInput

TEXTS = ["the parcel arrived", "never broken", "my lamp is blue and small", "please help", "red"]


@pytest.fixture(scope="module")
def bare(tiny_bundle: Path) -> BareLoop:
    return BareLoop(tiny_bundle, threads=1)


@pytest.fixture(scope="module")
def session(tiny_bundle: Path, bare: BareLoop) -> OnnxEncoderSession:
    encoder = bare.manifest.encoder
    graph = tiny_bundle / encoder.graphs[Precision.FP32].file
    way = Way(lanes=2, threads=1)
    return OnnxEncoderSession.open(graph, encoder, provider=Provider.CPU, way=way, row_len=32)


def test_rows_of_either_shape_hold_the_same_encodings(bare: BareLoop, session: OnnxEncoderSession) -> None:
    texts, entry = bare.tokenise(TEXTS), bare.manifest.encoder
    packed, padded = (
        PackedEncoder(InRows(session, shapes), entry, needs_states=lambda _: False).encode(texts, Crew.ALL)
        for shapes in (BucketedRows(row_len=32), SingleRows())
    )
    for one, other in zip(packed, padded, strict=True):
        for pooling in entry.poolings:
            np.testing.assert_allclose(one.pooled[pooling], other.pooled[pooling], atol=1e-5)


@pytest.mark.parametrize("depth", [1, 5])
def test_every_way_is_timed_in_every_round(bare: BareLoop, session: OnnxEncoderSession, depth: int) -> None:
    with ways_to_encode(session, bare.manifest.encoder, row_len=32) as ways:
        rates = in_turn(ways, bare.tokenise(TEXTS), depth=depth, rounds=3)
    assert list(rates) == ["packed", "lanes", "padded", "single rows"]
    assert all(len(each.values) == 3 and each.low > 0 for each in rates.values())


def test_all_ways_encode_the_same_texts_and_none_twice_in_a_row() -> None:
    seen: dict[str, list[list[TokenizedInput]]] = {"a": [], "b": []}
    texts = [object() for _ in range(10)]
    ways = {name: lambda each, name=name: seen[name].append(list(each)) for name in seen}
    in_turn(ways, texts, depth=2, rounds=2)  # type: ignore[arg-type]
    assert seen["a"] == seen["b"] == [texts[0:2], texts[2:4], texts[4:6]]


def test_the_table_has_shares_of_the_packed_rate() -> None:
    found = {"packed": Spread(values=(100.0, 200.0, 300.0)), "lanes": Spread(values=(150.0, 100.0, 400.0))}
    line = table({(Precision.INT8, 4): found}).splitlines()[-1]
    assert line == "| int8 | 4 | 200 | 0.75 (0.50 to 1.50) |"


def test_a_precision_that_is_not_there_is_an_error(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("sst5/train.jsonl", "sst5/dev.jsonl", "quora/dev.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"text": "a lamp", "text_a": "a lamp", "text_b": "a shoe"}\n')
    assert main([str(tiny_bundle), "--data", str(tmp_path), "--precisions", "int8"]) == 2
    assert "no int8 encoder" in capsys.readouterr().err
