"""Checkpoint → bundle: written to a staging folder, verified, then renamed."""

import datetime as dt
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from export.encoder import export_encoder
from export.entries import encoder_entry, task_entry
from export.errors import ExportError
from export.golden import golden_examples, sample_dev
from export.heads import export_heads, trained_heads
from export.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    TOKENIZER_FILE,
    EncoderEntry,
    Manifest,
    hash_file,
)
from export.model_card import model_card
from export.parity import TOLERANCE, Parity, check_parity
from export.sessions import Graph
from export.verify import verify_bundle
from training.assembly.trained import TrainedModel, load_model
from training.data import encode_examples
from training.evaluation import predict_logits

ENCODER_FILE = "encoder.onnx"
STAGING_PREFIX = ".staging-"
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What the manifest takes as name and version; checked before the work, not after it."""

LOADING, ENCODER, HEADS = "loading the checkpoint", "exporting the encoder", "exporting the heads"
COMPARING, VERIFYING = "comparing the graphs with the torch model", "verifying the bundle"
STAGES = (LOADING, ENCODER, HEADS, COMPARING, VERIFYING)
"""In their order; each is reported as it begins."""

Report = Callable[[str], None]


def export_bundle(
    run: Path, output: Path, *, version: str, name: str | None = None, report: Report = lambda _: None
) -> Manifest:
    """Export a run's best checkpoint.

    The bundle is complete and verified before it gets its name; a kill leaves only a staging folder beside
    it, which the next export to the same name removes.

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
    if output.exists():
        raise ExportError(f"{output} already exists. Choose another --output, or remove it first.")
    for value, what in ((version, "version"), (name, "name")):
        if value is not None and not LABEL.fullmatch(value):
            raise ExportError(f"A bundle's {what} is letters, digits, '.', '_' and '-'. Found {value!r}.")
    report(LOADING)
    trained = load_model(run)
    if "dev" not in trained.metrics:
        raise ExportError(f"{trained.checkpoint} has no dev metrics. Run: python -m training evaluate {run}")
    staging = output.with_name(f"{STAGING_PREFIX}{output.name}")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "heads").mkdir(parents=True)
    try:
        manifest = _write(trained, staging, version=version, name=name or trained.config.name, report=report)
        report(VERIFYING)
        verify_bundle(staging)
        staging.rename(output)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return manifest


def _write(trained: TrainedModel, folder: Path, *, version: str, name: str, report: Report) -> Manifest:
    tokenizer_json = trained.tokenizer.to_str()
    encoder = encoder_entry(trained, tokenizer_json, file=ENCODER_FILE, tolerance=TOLERANCE)
    report(ENCODER)
    export_encoder(trained.model.encoder, folder / ENCODER_FILE, encoder.poolings, encoder.max_length)
    report(HEADS)
    export_heads(
        trained_heads(trained.model),
        {task: folder / _head_file(task) for task in trained.tasks},
        hidden_size=encoder.hidden_size,
        num_layers=encoder.num_layers,
    )
    report(COMPARING)
    samples = sample_dev(trained)
    encoded = {task: encode_examples(trained.tasks[task], rows, trained.tokenizer)
               for task, rows in samples.items()}  # fmt: skip
    logits = {task: predict_logits(trained.model, trained.tasks[task], rows, batch_size=1)
              for task, rows in encoded.items()}  # fmt: skip
    parity = check_parity(
        trained.model,
        trained.tasks,
        encoded,
        logits,
        encoder=encoder,
        encoder_graph=Graph(folder / ENCODER_FILE),
        head_graphs={task: Graph(folder / _head_file(task)) for task in trained.tasks},
    )
    (folder / TOKENIZER_FILE).write_text(tokenizer_json, encoding="utf-8")
    lines = [example.model_dump_json() + "\n" for example in golden_examples(samples, logits)]
    (folder / GOLDEN_FILE).write_text("".join(lines), encoding="utf-8")
    return _write_manifest(trained, encoder, parity, folder, version=version, name=name)


def _write_manifest(
    trained: TrainedModel, encoder: EncoderEntry, parity: Parity, folder: Path, *, version: str, name: str
) -> Manifest:
    """Write the card, hash everything, write the manifest last."""
    files = [ENCODER_FILE, TOKENIZER_FILE, GOLDEN_FILE, *map(_head_file, trained.tasks)]
    manifest = Manifest(
        name=name,
        version=version,
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        encoder=encoder,
        tasks={
            task: task_entry(trained, task, file=_head_file(task), encoder_fingerprint=encoder.fingerprint)
            for task in trained.tasks
        },
        files={file: hash_file(folder / file) for file in files},
    )
    (folder / MODEL_CARD_FILE).write_text(model_card(manifest, trained, parity), encoding="utf-8")
    listed = {**manifest.files, MODEL_CARD_FILE: hash_file(folder / MODEL_CARD_FILE)}
    manifest = manifest.model_copy(update={"files": listed})
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _head_file(task: str) -> str:
    return f"heads/{task}.onnx"
