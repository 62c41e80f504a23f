"""Is this folder a bundle that may be served? Schema, hashes, graphs and golden examples."""

from dataclasses import dataclass
from pathlib import Path

from export.golden import check_golden
from export.manifest import (
    TOKENIZER_FILE,
    BundleFileError,
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
        deviations: Largest deviation of each task's golden examples.
    """

    manifest: Manifest
    deviations: dict[str, float]


def verify_bundle(bundle: Path) -> Verification:
    """Check a bundle as the service will, and its golden examples with ONNX Runtime on the CPU.

    Raises:
        BundleError: Saying what is wrong.
    """
    manifest = read_manifest(bundle)
    verify_files(bundle, manifest)
    encoder = Graph(bundle / manifest.encoder.graphs[Precision.FP32].file)
    outputs = ("last_hidden_state", *(pooling.output_name for pooling in manifest.encoder.poolings))
    _check_names("the encoder", encoder, manifest.encoder.inputs, outputs)
    heads = {name: Graph(bundle / task.head.file) for name, task in manifest.tasks.items()}
    for name, task in manifest.tasks.items():
        _check_names(f"the head of task {name!r}", heads[name], task.head.inputs, ("logits",))
    tokenizer_json = (bundle / TOKENIZER_FILE).read_text(encoding="utf-8")
    deviations = check_golden(manifest, read_golden(bundle), tokenizer_json, encoder, heads)
    return Verification(manifest=manifest, deviations=deviations)


def _check_names(what: str, graph: Graph, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    if set(graph.inputs) != set(inputs) or not set(outputs) <= set(graph.outputs):
        raise BundleFileError(
            f"{what} has inputs {', '.join(graph.inputs)} and outputs {', '.join(graph.outputs)}; "
            f"the manifest says {', '.join(inputs)} and {', '.join(outputs)}"
        )
