"""The papers' formulas as naive loops over plain vectors, without the layers' code: one for each layer."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from training.sharing import SharingLayer

Vector = NDArray[np.float64]


def array(tensor: object) -> Vector:
    return np.asarray(tensor.detach().double())  # type: ignore[attr-defined]


def network(module: nn.Module, x: Vector) -> Vector:
    """Linear layers with ReLU behind each."""
    for linear in (each for each in module.modules() if isinstance(each, nn.Linear)):
        x = np.maximum(array(linear.weight) @ x + array(linear.bias), 0)
    return x


def softmax_gate(gate: nn.Module, selector: Vector) -> Vector:
    scores = array(gate.linear.weight) @ selector
    exponentials = [np.exp(score) for score in scores]
    return np.array([each / sum(exponentials) for each in exponentials])


def chosen(gate: nn.Module, selector: Vector, outputs: list[Vector]) -> Vector:
    """``Σ_i g_i · s_i``, term by term."""
    weights = softmax_gate(gate, selector)
    assert len(weights) == len(outputs)
    total = np.zeros_like(outputs[0])
    for weight, output in zip(weights, outputs, strict=True):
        total = total + weight * output
    return total


def shared_bottom(layer: SharingLayer, x: Vector, task: str) -> Vector:
    return network(layer.trunk, x)


def one_hot(layer: SharingLayer, x: Vector, task: str) -> Vector:
    return network(layer.trunk, np.array([*x, *(float(each == task) for each in layer.tasks)]))


def additive(layer: SharingLayer, x: Vector, task: str) -> Vector:
    return network(layer.trunk, x + array(layer.modulations[task].shift))


def multiplicative(layer: SharingLayer, x: Vector, task: str) -> Vector:
    return network(layer.trunk, x * array(layer.modulations[task].scale))


def film(layer: SharingLayer, x: Vector, task: str) -> Vector:
    own = layer.modulations[task]
    return network(layer.trunk, array(own.scale) * x + array(own.shift))


def moe(layer: SharingLayer, x: Vector, task: str) -> Vector:
    """Ma et al. 2018, eq. 5."""
    (gate,) = layer.gates.values()
    return chosen(gate, x, [network(expert, x) for expert in layer.experts])


def mmoe(layer: SharingLayer, x: Vector, task: str) -> Vector:
    """Ma et al. 2018, eqs. 6-8."""
    return chosen(layer.gates[task], x, [network(expert, x) for expert in layer.experts])


def ml_mmoe(layer: SharingLayer, x: Vector, task: str) -> Vector:
    """Every gate's selector is x; an upper expert reads its own gate."""
    outputs = [network(expert, x) for expert in layer.experts]
    for level in layer.upper_levels:
        outputs = [
            network(expert, chosen(gate, x, outputs))
            for gate, expert in zip(level.gates, level.experts, strict=True)
        ]
    return chosen(layer.gates[task], x, outputs)


def ple(layer: SharingLayer, x: Vector, task: str) -> Vector:
    """Tang et al. 2020, eqs. 2-7: every gate of every level, whether or not the task needs it."""
    shared = "_shared"
    g = dict.fromkeys((*layer.tasks, shared), x)
    for level in layer.levels:
        outputs = {owner: [network(expert, g[owner]) for expert in level.experts[owner]] for owner in g}
        above = {}
        for k in layer.tasks:
            above[k] = chosen(level.gates[k], g[k], outputs[k] + outputs[shared])
        if shared in level.gates:
            everything = [output for owner in (*layer.tasks, shared) for output in outputs[owner]]
            above[shared] = chosen(level.gates[shared], g[shared], everything)
        g = above
    return g[task]


def cross_stitch(layer: SharingLayer, x: Vector, task: str) -> Vector:
    """Misra et al. 2016, eq. 1, for every column."""
    rows = [x for _ in layer.tasks]
    for depth, stitch in enumerate(layer.stitches):
        outputs = [network(layer.columns[k][depth], row) for k, row in zip(layer.tasks, rows, strict=True)]
        alpha = array(stitch)
        rows = [
            sum(alpha[i, j] * outputs[j] for j in range(len(outputs)))  # type: ignore[misc]
            for i in range(len(outputs))
        ]
    return rows[layer.tasks.index(task)]


def sluice(layer: SharingLayer, x: Vector, task: str) -> Vector:
    """Ruder et al. 2019: halves mixed by α, layers mixed by β."""
    count = len(layer.tasks)
    inputs, kept = [x] * count, []
    for depth, mix in enumerate(layer.subspace_mixes):
        alpha = array(mix)
        halves = []
        for k, each in zip(layer.tasks, inputs, strict=True):
            output = network(layer.columns[k][depth], each)
            halves += [output[: len(output) // 2], output[len(output) // 2 :]]
        mixed = [sum(alpha[i, j] * halves[j] for j in range(2 * count)) for i in range(2 * count)]
        inputs = [np.concatenate([mixed[2 * k], mixed[2 * k + 1]]) for k in range(count)]
        kept.append(inputs[layer.tasks.index(task)])
    beta = array(layer.layer_mixes[layer.tasks.index(task)])
    return sum(beta[depth] * kept[depth] for depth in range(len(kept)))  # type: ignore[return-value]


def asymmetric(layer: SharingLayer, x: Vector, task: str) -> Vector:
    read = {"a": ["a", "c"], "b": ["b", "a", "c"], "c": ["c"]}[task]
    return np.concatenate([network(layer.towers[owner], x) for owner in read])


def customised(layer: SharingLayer, x: Vector, task: str) -> Vector:
    return np.concatenate([network(layer.towers[task], x), network(layer.towers["_shared"], x)])


def soft(layer: SharingLayer, x: Vector, task: str) -> Vector:
    return network(layer.towers[task], x)


LAYERS = (shared_bottom, one_hot, additive, multiplicative, film, moe, mmoe, ml_mmoe, ple, cross_stitch,
          sluice, asymmetric, customised, soft)  # fmt: skip
ORACLES = {each.__name__: each for each in LAYERS} | {"cgc": ple}
