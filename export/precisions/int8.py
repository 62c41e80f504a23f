"""The encoder in int8: weight products in integers with scales fixed at export, everything else in float32.

Weights are symmetric int8 with a scale for each column. Activations are uint8 with one scale for a
tensor, from real texts (``ranges``, ``activations``). Products over tokens alone are quantised:
attention's scores and weighted sums, sums of residuals, normalisations and poolings stay float32; the
additive mask would take the whole range.

Batch-invariant: scales are constants, integer sums are exact, and attention is made so by
``exact_softmax``. What a text's vectors are does not depend on the texts beside it but for the last bits
of the final float32 sums.

``MatMulIntegerToFloat`` is ONNX Runtime's own operator: what it makes of a quantised product at load,
written down. On processors without VNNI its kernels add pairs of products in 16 bits and may saturate;
the service's golden check then refuses the graph.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from export.precisions.activations import ActivationPlan, Outliers, choose_remedy, plan_activation
from export.precisions.exact_softmax import make_softmax_exact
from export.precisions.ranges import ChannelRange, weight_products
from export.precisions.rewriting import MICROSOFT, GraphEditor

LARGEST_WEIGHT = 127


def quantize_int8(
    model: onnx.ModelProto,
    ranges: Mapping[str, ChannelRange],
    *,
    exact_attention: bool = True,
    treat_outliers: bool = True,
) -> onnx.ModelProto:
    """Quantise an encoder's weight products.

    Args:
        model: In fp32.
        ranges: Of every input of ``weight_products``.
        exact_attention: Whether attention is made exact; without, a vector may depend on its company.
        treat_outliers: Whether outlier channels are divided or set apart.
    """
    editor = GraphEditor(make_softmax_exact(model) if exact_attention else model)
    products = weight_products(model)
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for product in products:
        readers[product.input[0]].append(product)
    uses = Counter(product.input[1] for product in products)
    for activation, reading in readers.items():
        remedy = choose_remedy(
            len(ranges[activation].low),
            sum(_weights(editor, product).shape[1] for product in reading),
            is_shared=any(uses[product.input[1]] > 1 for product in reading),
        )
        plan = plan_activation(ranges[activation], outliers=remedy if treat_outliers else Outliers.LEFT)
        _quantize_readers(editor, activation, reading, plan)
    return editor.finish()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedWeights:
    """A weight matrix whose inputs are prepared by an ``ActivationPlan``.

    Attributes:
        values: int8. Shape ``(num_channels, num_columns)``; rows of channels set apart are 0.
        scales: Of one step in each column. Shape ``(num_columns,)``.
        apart: Rows of the channels set apart. Shape ``(num_apart, num_columns)``.
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    apart: NDArray[np.float32]


def quantize_weights(weights: NDArray[np.float32], plan: ActivationPlan) -> QuantizedWeights:
    """Round a matrix to int8, column by column."""
    apart = weights[plan.apart]
    scaled = weights.copy() if plan.divisors is None else weights * plan.divisors[:, None]
    scaled[plan.apart] = 0
    peaks = np.abs(scaled).max(axis=0)
    scales = np.where(peaks > 0, peaks / LARGEST_WEIGHT, 1).astype(np.float32)
    return QuantizedWeights(
        values=np.round(scaled / scales).clip(-LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.int8),
        scales=scales,
        apart=apart,
    )


def _quantize_readers(
    editor: GraphEditor, activation: str, reading: Sequence[onnx.NodeProto], plan: ActivationPlan
) -> None:
    """Replace the products that read one activation; the first of them also makes the quantised tensor."""
    prepared = _prepare(editor, activation, plan)
    for product in reading:
        editor.replace(product, [*prepared, *_integer_product(editor, activation, product, plan)])
        prepared = []


def _prepare(editor: GraphEditor, activation: str, plan: ActivationPlan) -> list[onnx.NodeProto]:
    nodes, source = [], activation
    if plan.divisors is not None:
        factors = editor.add_constant(f"{activation}.factors", 1 / plan.divisors)
        source = f"{activation}.divided"
        nodes.append(helper.make_node("Mul", [activation, factors], [source]))
    scale = editor.add_constant(f"{activation}.scale", plan.scale)
    zero_point = editor.add_constant(f"{activation}.zero_point", plan.zero_point)
    nodes.append(helper.make_node("QuantizeLinear", [source, scale, zero_point], [f"{activation}.uint8"]))
    if len(plan.apart):
        channels = editor.add_constant(f"{activation}.channels_apart", plan.apart)
        nodes.append(helper.make_node("Gather", [activation, channels], [f"{activation}.apart"], axis=-1))
    return nodes


def _integer_product(
    editor: GraphEditor, activation: str, product: onnx.NodeProto, plan: ActivationPlan
) -> list[onnx.NodeProto]:
    name = product.input[1]
    weights = quantize_weights(_weights(editor, product), plan)
    bias, result = _take_bias(editor, product)
    inputs = [
        f"{activation}.uint8",
        editor.add_constant(f"{name}.int8", weights.values),
        f"{activation}.scale",
        editor.add_constant(f"{name}.scales", weights.scales),
        f"{activation}.zero_point",
        *(["", bias] if bias else []),  # the weights have no zero point
    ]
    target = f"{result}.integer" if len(plan.apart) else result
    nodes = [helper.make_node("MatMulIntegerToFloat", inputs, [target], domain=MICROSOFT)]
    if len(plan.apart):
        rows = editor.add_constant(f"{name}.rows_apart", weights.apart)
        thin = f"{result}.thin"
        nodes += [
            helper.make_node("MatMul", [f"{activation}.apart", rows], [thin]),
            helper.make_node("Add", [target, thin], [result]),
        ]
    return nodes


def _take_bias(editor: GraphEditor, product: onnx.NodeProto) -> tuple[str | None, str]:
    """The bias that is added to a product, if any, and the sum's name. Its addition leaves the graph."""
    follower = editor.only_consumer(product.output[0])
    if follower is not None and follower.op_type == "Add":
        for name in follower.input:
            constant = editor.constant(name)
            if constant is not None and constant.shape == _weights(editor, product).shape[1:]:
                editor.replace(follower)
                return name, follower.output[0]
    return None, product.output[0]


def _weights(editor: GraphEditor, product: onnx.NodeProto) -> NDArray[np.float32]:
    weights = editor.constant(product.input[1])
    assert weights is not None, "weight_products found it"  # noqa: S101
    return weights.astype(np.float32)
