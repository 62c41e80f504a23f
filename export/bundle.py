"""Checkpoint → bundle: written to a staging folder, verified, then renamed."""

import datetime as dt
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from export.encoder import encoder_inputs, export_encoder
from export.errors import ExportError
from export.fingerprint import fingerprint
from export.golden import golden_examples, sample_dev
from export.heads import describe_head, export_heads
from export.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    TOKENIZER_FILE,
    EncoderEntry,
    EncoderGraph,
    HeadEntry,
    HeadInput,
    Manifest,
    PairMode,
    Pooling,
    Precision,
    TaskEntry,
    TaskKind,
    hash_file,
)
from export.masks import layout_of
from export.model_card import model_card
from export.parity import TOLERANCE, Parity, check_parity
from export.pooling import exported_poolings
from export.sessions import Graph
from export.verify import verify_bundle
from training.build import TrainedModel, load_model
from training.data import encode_examples
from training.examples import Examples

ENCODER_FILE = "encoder.onnx"
STAGING_PREFIX = ".staging-"
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What the manifest takes as name and version; checked before the work, not after it."""

LOADING, ENCODER, HEADS = "loading the checkpoint", "exporting the encoder", "exporting the heads"
COMPARING, VERIFYING = "comparing the graphs with the torch model", "verifying the bundle"
STAGES = (LOADING, ENCODER, HEADS, COMPARING, VERIFYING)
"""In their order; each is reported as it begins."""

Report = Callable[[str], None]
Samples = dict[str, Examples]


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
    encoder = _encoder_entry(trained, tokenizer_json)
    report(ENCODER)
    export_encoder(trained.model.encoder, folder / ENCODER_FILE, encoder.poolings, encoder.max_length)
    report(HEADS)
    files = {task: folder / _head_file(task) for task in trained.tasks}
    export_heads(dict(trained.model.heads.items()), files, hidden_size=encoder.hidden_size)
    report(COMPARING)
    samples = sample_dev(trained)
    parity = _check(trained, samples, encoder, folder)
    golden = golden_examples(trained, samples)
    (folder / TOKENIZER_FILE).write_text(tokenizer_json, encoding="utf-8")
    lines = [example.model_dump_json() + "\n" for example in golden]
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
        tasks={task: _task_entry(trained, task, encoder.fingerprint) for task in trained.tasks},
        files={file: hash_file(folder / file) for file in files},
    )
    (folder / MODEL_CARD_FILE).write_text(model_card(manifest, trained, parity), encoding="utf-8")
    listed = {**manifest.files, MODEL_CARD_FILE: hash_file(folder / MODEL_CARD_FILE)}
    manifest = manifest.model_copy(update={"files": listed})
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _check(trained: TrainedModel, samples: Samples, encoder: EncoderEntry, folder: Path) -> Parity:
    encoded = {
        name: encode_examples(trained.tasks[name], rows, trained.tokenizer) for name, rows in samples.items()
    }
    return check_parity(
        trained.model,
        encoded,
        encoder=encoder,
        encoder_graph=Graph(folder / ENCODER_FILE),
        head_graphs={name: Graph(folder / _head_file(name)) for name in trained.tasks},
    )


def _encoder_entry(trained: TrainedModel, tokenizer_json: str) -> EncoderEntry:
    encoder, config = trained.model.encoder, trained.config.encoder
    read = [pooling for pooling in trained.model.poolings.values() if pooling is not None]
    return EncoderEntry(
        model=config.model,
        model_type=encoder.config.model_type,
        fingerprint=fingerprint(encoder, tokenizer_json, config.max_length),
        hidden_size=encoder.hidden_size,
        num_layers=encoder.num_layers,
        max_length=config.max_length,
        position_offset=encoder.position_offset,
        pad_token_id=encoder.pad_token_id,
        inputs=encoder_inputs(encoder),
        layout=layout_of(encoder.family),
        poolings=exported_poolings([*read, config.pooling]),
        default_pooling=Pooling(config.pooling),
        graphs={Precision.FP32: EncoderGraph(file=ENCODER_FILE, tolerance=TOLERANCE)},
    )


def _task_entry(trained: TrainedModel, name: str, encoder_fingerprint: str) -> TaskEntry:
    task, config = trained.tasks[name], trained.config.tasks[name]
    pair = getattr(config, "pair", None)
    inputs: tuple[str, ...] = trained.model.heads[name].input_names  # type: ignore[assignment]
    return TaskEntry(
        kind=TaskKind(task.kind.name),
        pair=None if pair is None else PairMode(pair),
        pooling=Pooling(trained.model.poolings[name]),
        labels=task.kind.labels,
        range=getattr(config, "range", None),
        head=HeadEntry(
            file=_head_file(name),
            inputs=tuple(map(HeadInput, inputs)),
            num_outputs=task.kind.num_outputs,
            encoder_fingerprint=encoder_fingerprint,
            architecture=describe_head(config),
        ),
        metrics=trained.metrics["dev"][name],
    )


def _head_file(task: str) -> str:
    return f"heads/{task}.onnx"
