import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from export.precisions.exact_softmax import make_softmax_exact
from tests.support.graphs import build_graph, op_types, run

MASKED = np.finfo(np.float32).min
ROW_LEN = 64


@pytest.fixture(scope="module")
def attention() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "values"], ["context"]),
    ]
    return build_graph(nodes, inputs={"scores": 4, "values": 4}, output="context")


def row(
    scores: NDArray[np.float32], values: NDArray[np.float32], start: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A sequence's scores and values at a place in a row whose other tokens it does not see."""
    length = len(scores)
    generator = np.random.default_rng(start)
    all_scores = np.full((1, 1, ROW_LEN, ROW_LEN), MASKED, dtype=np.float32)
    all_values = generator.normal(size=(1, 1, ROW_LEN, values.shape[1])).astype(np.float32)
    all_scores[0, 0, start : start + length, start : start + length] = scores
    all_values[0, 0, start : start + length] = values
    return all_scores, all_values


@pytest.mark.parametrize("length", [1, 2, 17, 40])
def test_a_sequence_has_the_same_bits_wherever_it_lies(attention: onnx.ModelProto, length: int) -> None:
    exact = make_softmax_exact(attention)
    generator = np.random.default_rng(length)
    scores = generator.normal(scale=3, size=(length, length)).astype(np.float32)
    values = generator.normal(size=(length, 8)).astype(np.float32)
    found = []
    for start in (0, 1, 5, 16, ROW_LEN - length):
        all_scores, all_values = row(scores, values, start)
        context = run(exact, scores=all_scores, values=all_values)
        found.append(context[0, 0, start : start + length])
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_it_is_a_softmax_all_the_same(attention: onnx.ModelProto) -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(scale=5, size=(2, 3, 30, 30)).astype(np.float32)
    values = generator.normal(size=(2, 3, 30, 8)).astype(np.float32)
    expected = run(attention, scores=scores, values=values)
    found = run(make_softmax_exact(attention), scores=scores, values=values)
    np.testing.assert_allclose(found, expected, atol=30 * 2.0**-17 * np.abs(values).max())


def test_what_is_no_attention_stays(attention: onnx.ModelProto) -> None:
    over_rows = helper.make_node("Softmax", ["scores"], ["weights"], axis=1)
    other_axis = build_graph(
        [over_rows, helper.make_node("MatMul", ["weights", "values"], ["context"])],
        inputs={"scores": 4, "values": 4},
        output="context",
    )
    assert op_types(make_softmax_exact(other_axis)) == ["Softmax", "MatMul"]
    read_twice = build_graph(
        [*attention.graph.node, helper.make_node("ReduceMax", ["weights"], ["peak"])],
        inputs={"scores": 4, "values": 4},
        output="context",
    )
    assert op_types(make_softmax_exact(read_twice)) == ["Softmax", "MatMul", "ReduceMax"]
