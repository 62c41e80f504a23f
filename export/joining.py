"""Heads of a run that was grown on a bundle's encoder → a new bundle with these heads too.

A bundle never changes. The new one holds the same encoder, tokenizer and heads, byte for byte, and
with them the old answers; its fingerprint is the same, so every cached vector stays good.
"""

import datetime as dt
import shutil
from pathlib import Path

from export.bundle import Report, head_file, load_evaluated
from export.entries import task_entry
from export.errors import ExportError
from export.fingerprint import fingerprint
from export.golden import AnsweredSamples, answer_samples
from export.heads import export_heads, trained_heads
from export.manifest import (
    GOLDEN_FILE,
    MODEL_CARD_FILE,
    SCHEMA_VERSION,
    Manifest,
    Precision,
    hash_file,
    read_manifest,
    verify_files,
)
from export.model_card import joined_card
from export.parity import Parity, check_parity
from export.sessions import Graph
from export.staging import check_output, seal, staged
from export.verify import verify_bundle
from training.assembly.trained import TrainedModel
from training.encoder import SharedEncoder
from training.graph_encoder import GraphEncoder

LOADING, COPYING, HEADS = "loading run and bundle", "copying the old files", "exporting the new heads"
COMPARING, VERIFYING = "comparing the graphs with the torch model", "verifying the bundle"
STAGES = (LOADING, COPYING, HEADS, COMPARING, VERIFYING)
"""In their order; each is reported as it begins."""
REWRITTEN = (GOLDEN_FILE, MODEL_CARD_FILE)
"""Files of the old bundle that the new one extends."""


def join_bundle(
    run: Path,
    bundle: Path,
    output: Path,
    *,
    version: str,
    name: str | None = None,
    report: Report = lambda _: None,
) -> Manifest:
    """Write a new bundle: an old one with the heads of a run.

    Args:
        run: Trained on the bundle's encoder.
        bundle: Stays as it is.
        output: The new bundle; must not exist.
        version: Of the new bundle.
        name: Of the new bundle; the old one's by default.
        report: Told each stage as it begins.

    Raises:
        BundleError: If the run's heads do not belong to the bundle, or the new bundle fails verification.
        TrainingError: If the run cannot be loaded.
    """
    check_output(output, version=version, name=name)
    report(LOADING)
    before = read_manifest(bundle)
    verify_files(bundle, before)
    before = in_fp32(before)
    trained = load_evaluated(run)
    _check_fit(trained, before, bundle)
    with staged(output) as staging:
        report(COPYING)
        for file in before.files.keys() - set(REWRITTEN):
            (staging / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / file, staging / file)
        report(HEADS)
        export_heads(
            trained_heads(trained.model),
            {task: staging / head_file(task) for task in trained.tasks},
            hidden_size=before.encoder.hidden_size,
            num_layers=before.encoder.num_layers,
        )
        report(COMPARING)
        samples = answer_samples(trained)
        parity = _check_parity(trained, samples, before, staging)
        golden = (bundle / GOLDEN_FILE).read_text(encoding="utf-8")
        (staging / GOLDEN_FILE).write_text(golden + samples.golden_lines(), encoding="utf-8")
        manifest = _joined(before, trained, staging, version=version, name=name or before.name)
        card = (bundle / MODEL_CARD_FILE).read_text(encoding="utf-8")
        manifest = seal(manifest, staging, card=joined_card(card, manifest, trained, parity))
        report(VERIFYING)
        verify_bundle(staging)
    return manifest


def in_fp32(manifest: Manifest) -> Manifest:
    """Without reduced precisions: they were judged by the old tasks alone."""
    graphs = manifest.encoder.graphs
    reduced = {
        file for precision, graph in graphs.items() if precision is not Precision.FP32 for file in graph.files
    }
    alone = {"graphs": {Precision.FP32: graphs[Precision.FP32]}}
    return manifest.model_copy(
        update={
            "encoder": manifest.encoder.model_copy(update=alone),
            "precisions": None,
            "files": {file: entry for file, entry in manifest.files.items() if file not in reduced},
        }
    )


def _check_fit(trained: TrainedModel, before: Manifest, bundle: Path) -> None:
    """Whether the run's heads may stand on the bundle's encoder, beside its tasks.

    Raises:
        ExportError: Naming every reason why not.
    """
    faults = []
    found, expected = encoder_fingerprint(trained), before.encoder.fingerprint
    if found != expected:
        faults.append(
            f"its encoder is {found[:12]}…, but the bundle's is {expected[:12]}…, and a head answers only on "
            f"the encoder it was trained on. Train it with --from {bundle}, or export the run by itself"
        )
    for task in trained.tasks:
        if task in before.tasks:
            faults.append(f"the bundle has a task {task!r}, whose answers would change")
        pooling = trained.model.poolings[task]
        if pooling is not None and pooling not in before.encoder.poolings:
            known = ", ".join(before.encoder.poolings)
            faults.append(
                f"task {task!r} reads pooling {pooling}, but the bundle's encoder graph has {known}"
            )
    if faults:
        raise ExportError(f"{trained.checkpoint} cannot join {bundle}: {'; '.join(faults)}.")


def encoder_fingerprint(trained: TrainedModel) -> str:
    """Identity of the encoder that a run's heads were trained on."""
    encoder = trained.model.encoder
    if isinstance(encoder, GraphEncoder):
        return encoder.entry.fingerprint
    assert isinstance(encoder, SharedEncoder)  # noqa: S101 - there are no others
    return fingerprint(encoder, trained.tokenizer.to_str(), trained.config.encoder.max_length)


def _check_parity(trained: TrainedModel, samples: AnsweredSamples, before: Manifest, folder: Path) -> Parity:
    return check_parity(
        trained.model,
        trained.tasks,
        samples.encoded,
        samples.logits,
        encoder=before.encoder,
        encoder_graph=Graph(folder / before.encoder.graphs[Precision.FP32].file),
        head_graphs={task: Graph(folder / head_file(task)) for task in trained.tasks},
    )


def _joined(before: Manifest, trained: TrainedModel, folder: Path, *, version: str, name: str) -> Manifest:
    """The manifest without its card."""
    added = {
        task: task_entry(trained, task, file=head_file(task), encoder_fingerprint=before.encoder.fingerprint)
        for task in trained.tasks
    }
    kept = {file: entry for file, entry in before.files.items() if file not in REWRITTEN}
    written = [GOLDEN_FILE, *map(head_file, added)]
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        version=version,
        created_at=dt.datetime.now(dt.UTC).replace(microsecond=0),
        encoder=before.encoder,
        tasks={**before.tasks, **added},
        files={**kept, **{file: hash_file(folder / file) for file in written}},
    )
