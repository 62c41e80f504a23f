"""Checkpoint → bundle: written to a staging folder, verified, then renamed."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from export.encoder import export_encoder
from export.entries import encoder_entry, task_entry, trainable_encoder
from export.errors import ExportError
from export.golden import answer_samples
from export.heads import export_heads, trained_heads
from export.manifest import (
    GOLDEN_FILE,
    TOKENIZER_FILE,
    EncoderEntry,
    Manifest,
    hash_file,
)
from export.model_card import model_card
from export.parity import TOLERANCE, Parity, check_parity
from export.sessions import Graph
from export.staging import check_output, seal, staged
from export.verify import verify_bundle
from training.assembly.trained import TrainedModel, load_model

ENCODER_FILE = "encoder.onnx"
LOADING, ENCODER, HEADS = "loading the checkpoint", "exporting the encoder", "exporting the heads"
COMPARING, VERIFYING = "comparing the graphs with the torch model", "verifying the bundle"
STAGES = (LOADING, ENCODER, HEADS, COMPARING, VERIFYING)
"""In their order; each is reported as it begins."""

Report = Callable[[str], None]


def export_bundle(
    run: Path, output: Path, *, version: str, name: str | None = None, report: Report = lambda _: None
) -> Manifest:
    """Export a run's best checkpoint.

    The bundle is complete and verified before it gets its name.

    Args:
        run: A run or checkpoint folder.
        output: The bundle; must not exist.
        version: Written into the manifest and every answer of the service.
        name: Of the bundle; the configuration's by default.
        report: Told each stage as it begins.

    Raises:
        BundleError: If the checkpoint cannot become a bundle, or the bundle fails verification.
        TrainingError: If the checkpoint cannot be loaded.
    """
    check_output(output, version=version, name=name)
    report(LOADING)
    trained = load_evaluated(run)
    with staged(output) as staging:
        manifest = _write(trained, staging, version=version, name=name or trained.config.name, report=report)
        report(VERIFYING)
        verify_bundle(staging)
    return manifest


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


def _write(trained: TrainedModel, folder: Path, *, version: str, name: str, report: Report) -> Manifest:
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
    return _write_manifest(trained, encoder, parity, folder, version=version, name=name)


def _write_manifest(
    trained: TrainedModel, encoder: EncoderEntry, parity: Parity, folder: Path, *, version: str, name: str
) -> Manifest:
    """Hash everything, write the manifest last."""
    files = [ENCODER_FILE, TOKENIZER_FILE, GOLDEN_FILE, *map(head_file, trained.tasks)]
    manifest = Manifest(
        name=name,
        version=version,
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        encoder=encoder,
        tasks={
            task: task_entry(trained, task, file=head_file(task), encoder_fingerprint=encoder.fingerprint)
            for task in trained.tasks
        },
        files={file: hash_file(folder / file) for file in files},
    )
    return seal(manifest, folder, card=model_card(manifest, trained, parity))


def head_file(task: str) -> str:
    """Where a task's head lies in a bundle."""
    return f"heads/{task}.onnx"
