"""Attention whose bits do not depend on where in a row a sequence lies.

ONNX Runtime adds up a softmax's exponentials in vector lanes: the same numbers at another place in the
row are added in another order, and the last bit differs. In float32 that is 1e-7 and harmless. In front
of a rounding to int8 it is not: now and then a value falls on the other side, by a whole step, and the
same text has another vector in other company. Of an encoder whose weights alone are quantised this is the
only such place: its other sums run over one token's own numbers, or (the products) in one order.

So the exponentials, which lie in [0, 1], are rounded to multiples of 2⁻¹⁶: sums of up to 256 of them are
exact in float32, in any order. Exponentials below 2⁻¹⁷ of a row's largest become 0; so do those of masked
tokens.

    p = softmax(x);  y = p · v      →      e = round(exp(x − max x));  y = (e · v) / Σ e

"""

import numpy as np
import onnx
from onnx import helper

from export.precisions.rewriting import GraphEditor

SHIFT = np.float32(128)
"""Added and taken away again: what is left is rounded to float32's spacing at 128, which is 2⁻¹⁶."""
LAST_AXIS = np.array([-1], dtype=np.int64)


def make_softmax_exact(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite every softmax over the last axis that is read by one product alone."""
    editor = GraphEditor(model)
    for node in editor.nodes:
        if node.op_type != "Softmax" or _axis(node) not in (-1, 3):
            continue
        product = editor.only_consumer(node.output[0])
        if product is None or product.op_type != "MatMul" or product.input[0] != node.output[0]:
            continue
        editor.replace(node)
        editor.replace(product, _exact(editor, node.input[0], product.input[1], product.output[0]))
    return editor.finish()


def _exact(editor: GraphEditor, scores: str, values: str, result: str) -> list[onnx.NodeProto]:
    axis = editor.add_constant("exact_softmax.axis", LAST_AXIS)
    shift = editor.add_constant("exact_softmax.shift", SHIFT)
    highest, below, exponentials = f"{result}.highest", f"{result}.below", f"{result}.exp"
    shifted, rounded, product, total = (
        f"{result}.{name}" for name in ("shifted", "rounded", "product", "total")
    )
    return [
        helper.make_node("ReduceMax", [scores, axis], [highest], keepdims=1),
        helper.make_node("Sub", [scores, highest], [below]),
        helper.make_node("Exp", [below], [exponentials]),
        helper.make_node("Add", [exponentials, shift], [shifted]),
        helper.make_node("Sub", [shifted, shift], [rounded]),
        helper.make_node("MatMul", [rounded, values], [product]),
        helper.make_node("ReduceSum", [rounded, axis], [total], keepdims=1),
        helper.make_node("Div", [product, total], [result]),
    ]


def _axis(node: onnx.NodeProto) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), -1)
