"""int8 of families whose graphs differ: shared weights, no biases, relative positions, rows of their own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.manifest import Pooling
from export.packing import PackedRows, pack_rows
from export.precisions.int8 import quantize_int8
from export.precisions.ranges import measure_ranges, weight_products
from export.sessions import Graph
from tests.support.families import VOCAB_SIZE, ExportedFamily
from tests.support.graphs import op_types
from training.tokenization import TokenSequence

FAMILIES = ("albert", "deberta-v2", "modernbert", "roberta")


def sequences(count: int, *, seed: int) -> list[TokenSequence]:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(3, 20, size=count)
    return [
        TokenSequence(
            input_ids=generator.integers(4, VOCAB_SIZE, size=length).tolist(), token_type_ids=[0] * length
        )
        for length in lengths
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_in_int8_says_nearly_the_same_in_any_company(
    name: str, exported_family: Callable[[str], ExportedFamily], tmp_path: Path
) -> None:
    family = exported_family(name)
    entry, model = family.entry, onnx.load(family.graph)

    def rows(given: list[TokenSequence], row_len: int) -> PackedRows:
        return pack_rows(
            given,
            row_len=row_len,
            position_offset=entry.position_offset,
            pad_token_id=entry.pad_token_id,
            layout=entry.layout,
        )

    small = quantize_int8(model, measure_ranges(model, [rows(sequences(60, seed=1), 40)], entry))
    assert op_types(small).count("MatMulIntegerToFloat") == len(weight_products(model)) > 0
    file = tmp_path / "int8.onnx"
    onnx.save(small, file)
    texts, output = sequences(40, seed=2), Pooling.MEAN.output_name
    exact = Graph(family.graph).run(rows(texts, 20).feed(entry), [output])[output]
    alone, packed = (Graph(file).run(rows(texts, n).feed(entry), [output])[output] for n in (20, 60))
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(alone, axis=1)
    assert ((exact * alone).sum(axis=1) / norms).mean() > 0.97
    assert (np.abs(alone - packed).max(axis=1) <= 1e-3).mean() >= 0.95
