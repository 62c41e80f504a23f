"""Is this folder a bundle that may be served? Schema, hashes, graphs and golden examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.golden import check_golden
from export.manifest import (
    TOKENIZER_FILE,
    BundleFileError,
    GoldenExample,
    Manifest,
    Precision,
    read_golden,
    read_manifest,
    verify_files,
)
from export.sessions import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A bundle that passed.

    Attributes:
        manifest: Its manifest.
        deviations: Largest deviation of each task's golden examples, by the encoder graph's precision.
    """

    manifest: Manifest
    deviations: dict[Precision, dict[str, float]]


def verify_bundle(bundle: Path) -> Verification:
    """Check a bundle as the service will, and its golden examples with ONNX Runtime on the CPU.

    Raises:
        BundleError: Saying what is wrong.
    """
    manifest = read_manifest(bundle)
    verify_files(bundle, manifest)
    heads = {name: Graph(bundle / task.head.file) for name, task in manifest.tasks.items()}
    for name, task in manifest.tasks.items():
        _check_names(f"the head of task {name!r}", heads[name], task.head.inputs, ("logits",))
    golden = read_golden(bundle)
    deviations = {precision: _check_encoder(bundle, manifest, precision, heads, golden)
                  for precision in manifest.encoder.graphs}  # fmt: skip
    return Verification(manifest=manifest, deviations=deviations)


def _check_encoder(
    bundle: Path,
    manifest: Manifest,
    precision: Precision,
    heads: Mapping[str, Graph],
    golden: Sequence[GoldenExample],
) -> dict[str, float]:
    entry = manifest.encoder.graphs[precision]
    graph = Graph(bundle / entry.file)
    outputs = ("last_hidden_state", *(pooling.output_name for pooling in manifest.encoder.poolings))
    what = "the encoder" if precision is Precision.FP32 else f"the {precision} encoder"
    _check_names(what, graph, manifest.encoder.inputs, outputs)
    return check_golden(
        manifest.encoder,
        manifest.tasks,
        golden,
        (bundle / TOKENIZER_FILE).read_text(encoding="utf-8"),
        encoder_graph=graph,
        head_graphs=heads,
        tolerance=entry.tolerance,
    )


def _check_names(what: str, graph: Graph, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    if set(graph.inputs) != set(inputs) or not set(outputs) <= set(graph.outputs):
        raise BundleFileError(
            f"{what} has inputs {', '.join(graph.inputs)} and outputs {', '.join(graph.outputs)}; "
            f"the manifest says {', '.join(inputs)} and {', '.join(outputs)}"
        )
