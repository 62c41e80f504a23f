"""A run's frozen encoder → the store that answers in its place."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from training.assembly.run import Run
from training.encoding_store import EncodingStore
from training.examples import EncodedExamples
from training.model import MultitaskModel
from training.processes import this_process
from training.progress import build_progress, say
from training.tokenization import TokenSequence


def store_encodings(run: Run, folder: Path, *, console: Console) -> None:
    """Encode every text that a frozen encoder will be asked for, once; nothing for one that trains.

    Args:
        run: Before its first step.
        folder: Of the files. Runs that share it share what they have in common.
        console: Where to show the progress.
    """
    model, encoder = run.trainer.model, run.config.encoder
    if model.train_encoder or encoder.store_bytes == 0:
        return
    needs = _needs(model, [run.data.train, run.data.selection, run.data.dev])
    store = EncodingStore(folder, max_bytes=encoder.store_bytes)
    processes = this_process()
    with processes.main_process_first(), build_progress(console) as progress:
        bar = progress.add_task("encoding", total=None, note="once, unless it has been done")
        store.open(model.encoder.eval(), needs, on_encoded=lambda count: progress.advance(bar, count))
    model.store = store
    say(console, _note(needs, store))


def _needs(model: MultitaskModel, splits: list[dict[str, EncodedExamples]]) -> dict[str, list[TokenSequence]]:
    """Sequences by what a head reads of them."""
    needs: dict[str, list[TokenSequence]] = {}
    for split in splits:
        for task, examples in split.items():
            own = [sequence for each in examples.sequences for sequence in each]
            needs.setdefault(model.reading_of(task), []).extend(own)
    return needs


def _note(needs: Mapping[str, object], store: EncodingStore) -> str:
    left = sorted(needs.keys() - set(store.readings))
    kept = f"{store.num_bytes / 1e6:.0f} MB of encoder outputs ({', '.join(store.readings) or 'none'}) stored"
    if not left:
        return kept
    return f"{kept}; {', '.join(left)} would pass encoder.store_bytes and is computed at every step"
