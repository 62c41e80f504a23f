import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from export.precisions.ranges import ChannelRange
from loadtests.variants import VARIANTS
from tests.support.graphs import build_graph, run

WIDTH = 128


@pytest.fixture(scope="module")
def layer() -> onnx.ModelProto:
    weights = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["y"])]
    return build_graph(nodes, inputs={"x": 3}, output="y", constants={"weights": weights})


@pytest.fixture(scope="module")
def x() -> NDArray[np.float32]:
    values = np.random.default_rng(0).normal(size=(3, 9, WIDTH)).astype(np.float32)
    values[2] *= 40  # another row that would take the whole range
    return values


def build(name: str, layer: onnx.ModelProto, x: NDArray[np.float32]) -> onnx.ModelProto:
    tokens = x.reshape(-1, WIDTH)
    return VARIANTS[name](layer, {"x": ChannelRange(low=tokens.min(axis=0), high=tokens.max(axis=0))})


@pytest.mark.parametrize("name", VARIANTS)
def test_every_form_is_close_to_the_layer(name: str, layer: onnx.ModelProto, x: NDArray[np.float32]) -> None:
    expected, found = run(layer, x=x[:2]), run(build(name, layer, x[:2]), x=x[:2])
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("name", VARIANTS)
def test_only_the_dynamic_form_sees_its_company(
    name: str, layer: onnx.ModelProto, x: NDArray[np.float32]
) -> None:
    small = build(name, layer, x)
    gap = np.abs(run(small, x=x)[0] - run(small, x=x[:1])[0]).max()
    assert (gap > 1e-2) == (name == "dynamic int8 (quantize_dynamic)")
