from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from export.errors import ExportError
from export.heads import TrainedHead, describe_head, export_heads
from export.manifest import Manifest, Pooling
from export.sessions import Graph
from training.assembly.trained import TrainedModel

TASKS = (
    "sentiment",
    "topic",
    "stars",
    "length",
    "paraphrase",
    "entailment",
    "duplicate",
    "similarity",
    "related",
    "overlap",
)


def test_every_task_of_the_bundle_is_tested_here(manifest: Manifest) -> None:
    assert tuple(manifest.tasks) == TASKS


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
def test_a_heads_graph_answers_what_its_torch_module_answers(
    tiny_bundle: Path, trained: TrainedModel, task: str, batch_size: int
) -> None:
    head, graph = trained.model.heads[task], Graph(tiny_bundle / "heads" / f"{task}.onnx")
    vectors = [torch.randn(batch_size, 32) for _ in graph.inputs]
    with torch.inference_mode():
        expected = head(*vectors).numpy()
    found = graph.run({name: v.numpy() for name, v in zip(graph.inputs, vectors, strict=True)})["logits"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.shape == (batch_size, trained.tasks[task].kind.num_outputs)


@pytest.mark.parametrize("task", TASKS)
def test_a_heads_graph_has_the_heads_inputs_in_order_and_its_logits(
    tiny_bundle: Path, trained: TrainedModel, task: str
) -> None:
    graph = Graph(tiny_bundle / "heads" / f"{task}.onnx")
    assert graph.inputs == trained.model.heads[task].input_names
    assert graph.outputs == ("logits",)


def test_a_bounded_value_stays_within_its_bounds_inside_the_graph(tiny_bundle: Path) -> None:
    graph = Graph(tiny_bundle / "heads" / "stars.onnx")
    values = graph.run({"pooled": np.random.default_rng(0).normal(0, 100, (256, 32)).astype(np.float32)})[
        "logits"
    ]
    assert values.min() >= 0
    assert values.max() <= 5


def test_dropout_is_off_in_the_graphs(tiny_bundle: Path) -> None:
    graph = Graph(tiny_bundle / "heads" / "topic.onnx")
    feed = {"pooled": np.ones((3, 32), dtype=np.float32)}
    assert np.array_equal(graph.run(feed)["logits"], graph.run(feed)["logits"])


def test_a_heads_weights_are_in_no_other_heads_file(tiny_bundle: Path) -> None:
    sizes = {file.stem: file.stat().st_size for file in (tiny_bundle / "heads").iterdir()}
    assert sizes["length"] < sizes["topic"] < sizes["duplicate"], "a linear, an mlp, an mlp over four vectors"


def test_architectures_are_described_for_people(trained: TrainedModel) -> None:
    found = {
        name: describe_head(config, trained.tasks[name].kind, default_pooling="mean")
        for name, config in trained.config.tasks.items()
    }
    assert found["sentiment"] == "linear"
    assert found["topic"] == "mlp [16]"
    assert found["duplicate"] == "full + mlp [16]"
    assert found["overlap"] == "diff_product + linear"
    assert found["paraphrase"] == "linear", "a cross-encoded pair is one vector"


class Undecided(nn.Module):
    """A head whose path depends on its values, which no graph can hold."""

    input_names = ("pooled",)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return pooled if pooled.sum() > 0 else -pooled


def test_a_head_that_cannot_become_a_graph_is_named(trained: TrainedModel, tmp_path: Path) -> None:
    heads = {
        "sentiment": TrainedHead(module=trained.model.heads["sentiment"], pooling=Pooling.MEAN),
        "undecided": TrainedHead(module=Undecided(), pooling=Pooling.MEAN),
    }
    files = {name: tmp_path / f"{name}.onnx" for name in heads}
    with pytest.raises(
        ExportError, match="the head of task 'undecided' cannot be written as a graph"
    ) as caught:
        export_heads(heads, files, hidden_size=32, num_layers=2)
    assert "sentiment" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
