import stat
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.weights import LEAST_BYTES, move_weights

WEIGHTS = np.random.default_rng(0).normal(size=(LEAST_BYTES // 4, 2)).astype(np.float32)
TEXT = np.ones((1, len(WEIGHTS)), dtype=np.float32)


def write_graph(file: Path, weights: np.ndarray = WEIGHTS) -> Path:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, len(weights)])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, weights.shape[1]])]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", inputs, outputs, [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    return file


def answer(graph: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": TEXT})[0])


def test_a_graph_answers_the_same_with_its_weights_beside_it(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "encoder.int8.onnx")
    before = answer(graph)
    assert move_weights(graph) == "encoder.int8.weights"
    assert (
        graph.stat().st_size
        < LEAST_BYTES
        < WEIGHTS.nbytes
        <= (tmp_path / "encoder.int8.weights").stat().st_size
    )
    np.testing.assert_array_equal(answer(graph), before)


def test_whoever_may_read_the_graph_may_read_its_weights(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "encoder.onnx")
    move_weights(graph)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("encoder.onnx", "encoder.weights")}
    assert len(modes) == 1


def test_the_moved_folder_still_answers(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    graph = write_graph(tmp_path / "staging" / "encoder.onnx")
    before = answer(graph)
    move_weights(graph)
    (tmp_path / "staging").rename(tmp_path / "bundle")
    np.testing.assert_array_equal(answer(tmp_path / "bundle" / "encoder.onnx"), before)


def test_a_graph_without_large_tensors_stays_whole(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "encoder.onnx", WEIGHTS[:3])
    assert move_weights(graph) is None
    assert [file.name for file in tmp_path.iterdir()] == ["encoder.onnx"]


def test_onnx_runtime_reads_no_weights_from_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    graph = write_graph(tmp_path / "bundle" / "encoder.onnx")
    move_weights(graph)
    (tmp_path / "bundle" / "encoder.weights").rename(tmp_path / "secret")
    model = onnx.load(graph, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../secret"
    graph.write_bytes(model.SerializeToString())
    with pytest.raises(Exception, match=r"(?i)escapes|outside|invalid|not.*within|directory"):
        answer(graph)
