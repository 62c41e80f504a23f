"""Checkpoint → bundle: written to a staging folder, verified, then renamed."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from export.encoder import export_encoder
from export.entries import encoder_entry, task_entry, trainable_encoder
from export.errors import ExportError
from export.golden import answer_samples, golden_examples
from export.heads import export_heads, trained_heads
from export.manifest import (
    GOLDEN_FILE,
    TOKENIZER_FILE,
    EncoderEntry,
    Manifest,
    PrecisionTable,
    hash_file,
)
from export.model_card import model_card
from export.parity import TOLERANCE, Parity, check_parity
from export.precisions.build import ExportedModel, PrecisionWishes, add_precisions, precision_stages
from export.sessions import Graph
from export.staging import check_output, seal, staged
from export.verify import verify_bundle
from export.weights import move_weights
from training.assembly.trained import TrainedModel, load_model

ENCODER_FILE = "encoder.onnx"
LOADING, ENCODER, HEADS = "loading the checkpoint", "exporting the encoder", "exporting the heads"
COMPARING, VERIFYING = "comparing the graphs with the torch model", "verifying the bundle"
STAGES = (LOADING, ENCODER, HEADS, COMPARING, VERIFYING)
"""In their order; each is reported as it begins. Reduced precisions are stages of their own in between."""
FP32_ALONE = PrecisionWishes()

Report = Callable[[str], None]


def export_bundle(
    run: Path,
    output: Path,
    *,
    version: str,
    name: str | None = None,
    wishes: PrecisionWishes = FP32_ALONE,
    report: Report = lambda _: None,
) -> Manifest:
    """Export a run's best checkpoint.

    The bundle is complete and verified before it gets its name.

    Args:
        run: A run or checkpoint folder.
        output: The bundle; must not exist.
        version: Written into the manifest and every answer of the service.
        name: Of the bundle; the configuration's by default.
        wishes: Reduced precisions to try.
        report: Told each stage as it begins.

    Raises:
        BundleError: If the checkpoint cannot become a bundle, or the bundle fails verification.
        TrainingError: If the checkpoint cannot be loaded.
    """
    check_output(output, version=version, name=name)
    report(LOADING)
    trained = load_evaluated(run)
    with staged(output) as staging:
        exported, parity = _write(trained, staging, report)
        encoder, precisions = exported.encoder, None
        if wishes.precisions:
            encoder, precisions = add_precisions(exported, wishes, report=report)
        encoder = _with_weights_beside(encoder, staging)
        manifest = _write_manifest(
            exported, encoder, precisions, parity, version=version, name=name or trained.config.name
        )
        report(VERIFYING)
        verify_bundle(staging)
    return manifest


def stages_of(wishes: PrecisionWishes) -> tuple[str, ...]:
    """What an export reports, in order."""
    return (*STAGES[:-1], *precision_stages(wishes), STAGES[-1])


def load_evaluated(run: Path) -> TrainedModel:
    """A run's best checkpoint with its dev metrics.

    Raises:
        ExportError: If it has none.
        TrainingError: If the checkpoint cannot be loaded.
    """
    trained = load_model(run)
    if "dev" not in trained.metrics:
        raise ExportError(f"{trained.checkpoint} has no dev metrics. Run: python -m training evaluate {run}")
    return trained


def _write(trained: TrainedModel, folder: Path, report: Report) -> tuple[ExportedModel, Parity]:
    """Everything in fp32 but manifest and card."""
    tokenizer_json = trained.tokenizer.to_str()
    encoder = encoder_entry(trained, tokenizer_json, file=ENCODER_FILE, tolerance=TOLERANCE)
    report(ENCODER)
    export_encoder(trainable_encoder(trained), folder / ENCODER_FILE, encoder.poolings, encoder.max_length)
    report(HEADS)
    export_heads(
        trained_heads(trained.model),
        {task: folder / head_file(task) for task in trained.tasks},
        hidden_size=encoder.hidden_size,
        num_layers=encoder.num_layers,
    )
    report(COMPARING)
    samples = answer_samples(trained)
    parity = check_parity(
        trained.model,
        trained.tasks,
        samples.encoded,
        samples.logits,
        encoder=encoder,
        encoder_graph=Graph(folder / ENCODER_FILE),
        head_graphs={task: Graph(folder / head_file(task)) for task in trained.tasks},
    )
    (folder / TOKENIZER_FILE).write_text(tokenizer_json, encoding="utf-8")
    (folder / GOLDEN_FILE).write_text(samples.golden_lines(), encoding="utf-8")
    exported = ExportedModel(
        trained=trained,
        folder=folder,
        encoder=encoder,
        tasks={
            task: task_entry(trained, task, file=head_file(task), encoder_fingerprint=encoder.fingerprint)
            for task in trained.tasks
        },
        golden=golden_examples(samples.examples, samples.logits),
        tokenizer_json=tokenizer_json,
    )
    return exported, parity


def _with_weights_beside(encoder: EncoderEntry, folder: Path) -> EncoderEntry:
    graphs = {
        precision: graph.model_copy(update={"weights": move_weights(folder / graph.file)})
        for precision, graph in encoder.graphs.items()
    }
    return encoder.model_copy(update={"graphs": graphs})


def _write_manifest(
    exported: ExportedModel,
    encoder: EncoderEntry,
    precisions: PrecisionTable | None,
    parity: Parity,
    *,
    version: str,
    name: str,
) -> Manifest:
    """Hash everything, write the manifest last."""
    folder = exported.folder
    graphs = [file for graph in encoder.graphs.values() for file in graph.files]
    files = [*graphs, TOKENIZER_FILE, GOLDEN_FILE, *map(head_file, exported.tasks)]
    manifest = Manifest(
        name=name,
        version=version,
        created_at=dt.datetime.now(dt.UTC).replace(microsecond=0),
        encoder=encoder,
        tasks=dict(exported.tasks),
        precisions=precisions,
        files={file: hash_file(folder / file) for file in files},
    )
    return seal(manifest, folder, card=model_card(manifest, exported.trained, parity))


def head_file(task: str) -> str:
    """Where a task's head lies in a bundle."""
    return f"heads/{task}.onnx"
