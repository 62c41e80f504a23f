"""An fp32 encoder in several 8-bit forms, for ``loadtests.precisions`` to compare. One of them is shipped."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper

from export.precisions.int8 import LARGEST_WEIGHT, quantize_int8
from export.precisions.ranges import ChannelRange, weight_products
from export.precisions.rewriting import GraphEditor

BLOCK_SIZE = 128
"""Weights that share a scale in the block-wise form."""
ZERO_POINT = 128

Build: TypeAlias = Callable[[onnx.ModelProto, Mapping[str, ChannelRange]], onnx.ModelProto]
"""fp32 graph and the ranges of its activations → another form of it."""


def quantize_dynamically(model: onnx.ModelProto, _: Mapping[str, ChannelRange]) -> onnx.ModelProto:
    """ONNX Runtime's ``quantize_dynamic``: one scale for each tensor of each batch."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory(prefix="loadtests-") as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantize_dynamic(
            source, target, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"], per_channel=True
        )
        return onnx.load(target)


def quantize_blocks(model: onnx.ModelProto, _: Mapping[str, ChannelRange]) -> onnx.ModelProto:
    """ONNX Runtime's ``MatMulNBits``, 8 bits, int8 activations by block (accuracy level 4)."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    logging.getLogger(MatMulNBitsQuantizer.__module__).setLevel(logging.WARNING)  # it names every node
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    quantizer = MatMulNBitsQuantizer(copy, bits=8, block_size=BLOCK_SIZE, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    quantized: onnx.ModelProto = quantizer.model.model
    return quantized


def quantize_by_token(model: onnx.ModelProto, _: Mapping[str, ChannelRange]) -> onnx.ModelProto:
    """A scale for each token, in standard operators: as independent of company as a static one."""
    editor = GraphEditor(model)
    prepared: set[str] = set()
    for product in weight_products(model):
        activation = product.input[0]
        nodes = [] if activation in prepared else _quantize_tokens(editor, activation)
        prepared.add(activation)
        editor.replace(product, [*nodes, *_integer_product(editor, product)])
    return editor.finish()


def _quantize_tokens(editor: GraphEditor, activation: str) -> list[onnx.NodeProto]:
    axis = editor.add_constant("by_token.axis", np.array([-1], dtype=np.int64))
    levels = editor.add_constant("by_token.levels", np.float32(LARGEST_WEIGHT))
    shift = editor.add_constant("by_token.shift", np.float32(ZERO_POINT))
    tiny = editor.add_constant("by_token.tiny", np.float32(1e-30))
    name = partial("{}.{}".format, activation)
    return [
        helper.make_node("Abs", [activation], [name("abs")]),
        helper.make_node("ReduceMax", [name("abs"), axis], [name("peak")], keepdims=1),
        helper.make_node("Div", [name("peak"), levels], [name("step")]),
        helper.make_node("Max", [name("step"), tiny], [name("scale")]),
        helper.make_node("Div", [activation, name("scale")], [name("steps")]),
        helper.make_node("Round", [name("steps")], [name("rounded")]),
        helper.make_node("Add", [name("rounded"), shift], [name("shifted")]),
        helper.make_node("Cast", [name("shifted")], [name("uint8")], to=TensorProto.UINT8),
    ]


def _integer_product(editor: GraphEditor, product: onnx.NodeProto) -> list[onnx.NodeProto]:
    activation, weights, result = product.input[0], product.input[1], product.output[0]
    values = np.asarray(editor.constant(weights), dtype=np.float32)
    scales = (np.abs(values).max(axis=0) / LARGEST_WEIGHT).astype(np.float32)
    integers = editor.add_constant(f"{weights}.int8", np.round(values / scales).astype(np.int8))
    zero_point = editor.add_constant("by_token.zero_point", np.uint8(ZERO_POINT))
    columns = editor.add_constant(f"{weights}.scales", scales)
    name = partial("{}.{}".format, result)
    return [
        helper.make_node("MatMulInteger", [f"{activation}.uint8", integers, zero_point], [name("int32")]),
        helper.make_node("Cast", [name("int32")], [name("float")], to=TensorProto.FLOAT),
        helper.make_node("Mul", [name("float"), f"{activation}.scale"], [name("rows")]),
        helper.make_node("Mul", [name("rows"), columns], [result]),
    ]


VARIANTS: Mapping[str, Build] = {
    "fp32": lambda model, _: model,
    "static int8 (shipped)": quantize_int8,
    "static int8, ordinary softmax": partial(quantize_int8, exact_attention=False),
    "static int8, outliers left": partial(quantize_int8, treat_outliers=False),
    "int8 by token, standard operators": quantize_by_token,
    "8 bits by block (MatMulNBits)": quantize_blocks,
    "dynamic int8 (quantize_dynamic)": quantize_dynamically,
}
