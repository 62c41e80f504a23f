"""Sharing layers as graphs: each task's own path, as torch computes it, and no other's."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from export.heads import TrainedHead, export_heads
from export.manifest import Pooling
from export.sessions import Graph
from tests.support.sharing_layers import BUILDERS, IN, build, inputs
from training.heads import BiEncoderHead, PooledHead, TokenHead, build_body
from training.sharing import SharedPath, users_of

SERVED = "b"


def paths_of_all_layers() -> dict[str, TrainedHead]:
    """One task's path through each layer; through the richest one also a pair's and a tagger's."""
    heads = {}
    for name in BUILDERS:
        layer = build(name)
        body = build_body(layer.out_features(SERVED), 3)
        path = SharedPath(layer, SERVED, PooledHead(body))
        heads[name] = TrainedHead(module=path, pooling=Pooling.MEAN)
    ple = build("ple")
    width = ple.out_features("c")
    pair = SharedPath(ple, "c", BiEncoderHead("full", build_body(4 * width, 2)))
    heads["pair"] = TrainedHead(module=pair, pooling=Pooling.MEAN)
    heads["tokens"] = TrainedHead(module=SharedPath(ple, "c", TokenHead(build_body(width, 4))), pooling=None)
    return heads


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, TrainedHead], Path]:
    """Every layer's graphs by one call of the exporter."""
    folder, heads = tmp_path_factory.mktemp("layers"), paths_of_all_layers()
    files = {name: folder / f"{name}.onnx" for name in heads}
    export_heads(heads, files, hidden_size=IN, num_layers=2)
    return heads, folder


@pytest.mark.parametrize("case", [*BUILDERS, "pair", "tokens"])
def test_a_paths_graph_answers_what_torch_answers(
    exported: tuple[dict[str, TrainedHead], Path], case: str
) -> None:
    heads, folder = exported
    graph, head = Graph(folder / f"{case}.onnx"), heads[case]
    for size in (1, 2, 33):
        shape = (size, 7) if case == "tokens" else (size,)
        given = [inputs(*shape, seed=size + number) for number, _ in enumerate(graph.inputs)]
        with torch.inference_mode():
            expected = head.module.eval()(*given).numpy()
        found = graph.run({key: value.numpy() for key, value in zip(graph.inputs, given, strict=True)})[
            "logits"
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_graph_holds_the_parameters_its_task_uses_and_no_others(
    exported: tuple[dict[str, TrainedHead], Path], name: str
) -> None:
    _, folder = exported
    layer = build(name)
    users = users_of(layer, in_features=IN)
    matrices = {
        parameter_name: parameter.detach().numpy()
        for parameter_name, parameter in layer.named_parameters()
        if parameter_name.endswith("weight")
    }
    graph = onnx.load(folder / f"{name}.onnx")
    held = [numpy_helper.to_array(each) for each in graph.graph.initializer]

    def is_held(matrix: np.ndarray[Any, Any]) -> bool:
        return any(
            each.shape in (matrix.shape, matrix.T.shape)
            and (np.array_equal(each, matrix) or np.array_equal(each.T, matrix))
            for each in held
        )

    for parameter_name, matrix in matrices.items():
        assert is_held(matrix) == (SERVED in users[parameter_name]), parameter_name
