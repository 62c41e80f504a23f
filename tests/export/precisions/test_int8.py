from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.precisions.activations import Outliers, plan_activation
from export.precisions.int8 import quantize_int8, quantize_weights
from export.precisions.ranges import ChannelRange
from tests.support.graphs import build_graph, op_types, run

WIDTH, NARROW = 96, 48


def numbers(*shape: int, seed: int = 0, outlier: bool = False) -> NDArray[np.float32]:
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    if outlier:
        array[..., 7] *= 25
    return array


def layer(num_results: int, *, with_bias: bool, products: int = 1) -> onnx.ModelProto:
    """Products of one input with weight matrices, summed up."""
    constants: dict[str, NDArray[Any]] = {}
    nodes, sums = [], []
    for number in range(products):
        constants[f"weights_{number}"] = numbers(WIDTH, num_results, seed=number + 1)
        nodes.append(helper.make_node("MatMul", ["x", f"weights_{number}"], [f"product_{number}"]))
        sums.append(f"product_{number}")
        if with_bias:
            constants[f"bias_{number}"] = numbers(num_results, seed=number + 9)
            sums[-1] = f"biased_{number}"
            nodes.append(
                helper.make_node("Add", [f"product_{number}", f"bias_{number}"], [f"biased_{number}"])
            )
    nodes.append(helper.make_node("Sum", sums, ["y"]))
    return build_graph(nodes, inputs={"x": 3}, output="y", constants=constants)


def quantized(model: onnx.ModelProto, x: NDArray[np.float32]) -> onnx.ModelProto:
    tokens = x.reshape(-1, WIDTH)
    return quantize_int8(model, {"x": ChannelRange(low=tokens.min(axis=0), high=tokens.max(axis=0))})


@pytest.mark.parametrize("outlier", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("num_results", [NARROW, WIDTH])
def test_a_quantised_product_is_close_to_the_product(
    num_results: int, with_bias: bool, outlier: bool
) -> None:
    x = numbers(2, 10, WIDTH, outlier=outlier)
    model = layer(num_results, with_bias=with_bias)
    small = quantized(model, x)
    expected, found = run(model, x=x), run(small, x=x)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    extra = {(False, NARROW): [], (False, WIDTH): [], (True, WIDTH): ["Mul"], (True, NARROW): ["Gather"]}
    kinds = op_types(small)
    assert [kind for kind in kinds if kind in ("Mul", "Gather")] == extra[outlier, num_results]
    assert kinds.count("MatMulIntegerToFloat") == 1
    assert all(np.prod(tensor.dims) < WIDTH * NARROW or tensor.data_type == 3
               for tensor in small.graph.initializer), "no weight matrix is left in float"  # fmt: skip


def test_products_of_one_input_share_its_quantisation() -> None:
    x = numbers(1, 4, WIDTH)
    model = layer(WIDTH, with_bias=True, products=3)
    small = quantized(model, x)
    assert op_types(small).count("QuantizeLinear") == 1
    np.testing.assert_allclose(run(small, x=x), run(model, x=x), atol=1.5)


def test_a_token_has_the_same_bits_in_any_company() -> None:
    x = numbers(4, 16, WIDTH, outlier=True)
    small = quantized(layer(NARROW, with_bias=True), x)
    together = run(small, x=x)
    np.testing.assert_array_equal(run(small, x=x[1:2, 3:8]), together[1:2, 3:8])
    np.testing.assert_array_equal(run(small, x=100 * x)[0, 0], run(small, x=100 * x[:1, :2])[0, 0])


def test_a_matrix_that_several_products_share_is_stored_once() -> None:
    x = numbers(1, 4, WIDTH, outlier=True)
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["first"]),
        helper.make_node("MatMul", ["first", "weights"], ["y"]),
    ]
    model = build_graph(
        nodes, inputs={"x": 3}, output="y", constants={"weights": numbers(WIDTH, WIDTH, seed=1) / 10}
    )
    ranges = {
        name: ChannelRange(low=np.full(WIDTH, -30, np.float32), high=np.full(WIDTH, 30, np.float32))
        for name in ("x", "first")
    }
    small = quantize_int8(model, ranges)
    matrices = [tensor for tensor in small.graph.initializer if len(tensor.dims) == 2]
    assert [numpy_helper.to_array(matrix).dtype for matrix in matrices] == [np.dtype(np.int8)]
    assert run(small, x=x).shape == (1, 4, WIDTH)


def test_a_column_of_zeros_stays_zero() -> None:
    weights = numbers(WIDTH, NARROW)
    weights[:, 3] = 0
    found = ChannelRange(low=np.full(WIDTH, -1, np.float32), high=np.full(WIDTH, 1, np.float32))
    small = quantize_weights(weights, plan_activation(found, outliers=Outliers.LEFT))
    assert not small.values[:, 3].any()
    assert np.isfinite(small.scales).all()
    np.testing.assert_allclose(small.values * small.scales, weights, atol=np.abs(weights).max() / 250)
