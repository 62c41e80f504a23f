"""A frozen encoder's outputs, each computed once and kept in files: an epoch then costs only the heads."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from training.batches import Batch, pad
from training.checkpoint import STAGING_PREFIX
from training.encoding import LAST_HIDDEN_STATE, Encoder
from training.encoding_files import Key, Plan, Stored, keys_of, names_of, opened
from training.tokenization import TokenSequence

BATCH_TOKENS = 2048
"""Of a forward pass while the store is filled."""


class EncodingStore:
    """Answers for an encoder whose weights stay as they are.

    The numbers depend on the encoder and the set of sequences that were encoded with them alone, not on the
    batches that read them. Files of all sequences that are needed, and of others maybe, are opened where they
    are in the folder; so a run of one task reads what a run of several has stored.

    Args:
        folder: Of the memory-mapped files; created. Runs may share it.
        max_bytes: Of all files together. A reading that does not fit is left to the encoder, the largest
            first.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._stored: dict[str, Stored] = {}

    @property
    def readings(self) -> tuple[str, ...]:
        """Names of what can be read without the encoder: poolings, or token states."""
        return tuple(self._stored)

    @property
    def num_bytes(self) -> int:
        """Size of the rows of all files together."""
        return sum(stored.rows.nbytes for stored in self._stored.values())

    def open(
        self,
        encoder: Encoder,
        needs: Mapping[str, Iterable[TokenSequence]],
        *,
        on_encoded: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Encode every sequence once, unless it has been done before.

        Args:
            encoder: In evaluation mode.
            needs: Sequences by what is read of them.
            on_encoded: Called with the sequences encoded since the last call.
        """
        plans = self._that_fit(
            {reading: Plan.of(encoder, reading, sequences) for reading, sequences in needs.items()}
        )
        if not plans:
            return
        of_encoder, of_sequences = names_of(encoder, plans)
        files = self._folder / f"{of_encoder}-{of_sequences}"
        others = sorted(self._folder.glob(f"{of_encoder}-*"))  # of runs with more sequences, maybe
        every = (opened(each, plans) for each in (files, *others))
        found = next((each for each in every if each is not None), None)
        if found is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=STAGING_PREFIX, dir=self._folder) as staging:
                _fill(encoder, plans, Path(staging) / files.name, on_encoded)
                _rename_once(Path(staging) / files.name, files)
            found = opened(files, plans)
            assert found is not None  # noqa: S101 - they were filled by these plans
        self._stored = found

    def read(self, batch: Batch, reading: str) -> Tensor | None:
        """What ``Encoder.read`` gives, without gradient; zeros behind the end of shorter sequences.

        Returns:
            None if the reading is not stored, or a sequence is not.
        """
        stored = self._stored.get(reading)
        if stored is None:
            return None
        spans = [stored.spans.get(key) for key in keys_of(batch)]
        known = [span for span in spans if span is not None]
        if len(known) < len(spans):
            return None
        if reading == LAST_HIDDEN_STATE:
            found = np.zeros((*batch.input_ids.shape, *stored.rows.shape[1:]), dtype=np.float32)
            for row, (start, stop) in enumerate(known):
                found[row, : stop - start] = stored.rows[start:stop]
        else:
            found = stored.rows[[start for start, _ in known]]
        return torch.from_numpy(found).to(batch.input_ids.device)

    def _that_fit(self, plans: Mapping[str, Plan]) -> dict[str, Plan]:
        fitting, left = {}, self._max_bytes
        for reading, plan in sorted(plans.items(), key=lambda item: item[1].num_bytes):
            if 0 < plan.num_bytes <= left:
                left -= plan.num_bytes
                fitting[reading] = plan
        return fitting


def clear_leftovers(folder: Path) -> None:
    """Drop what a killed process had half filled. Only before any process fills the folder."""
    for leftover in folder.glob(f"{STAGING_PREFIX}*"):
        shutil.rmtree(leftover)


@torch.inference_mode()
def _fill(
    encoder: Encoder, plans: Mapping[str, Plan], folder: Path, on_encoded: Callable[[int], None]
) -> None:
    """One forward pass a sequence, whatever is read of it."""
    device = next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
    every = {key: sequence for plan in plans.values() for key, sequence in plan.sequences.items()}
    folder.mkdir()
    files = {reading: plan.create(folder, reading) for reading, plan in plans.items()}
    for keys in _in_batches(every):
        batch = pad([every[key] for key in keys], pad_token_id=encoder.pad_token_id).to(device)
        wanted = [reading for reading, file in files.items() if any(key in file.spans for key in keys)]
        for reading, values in encoder.read(batch, wanted).items():
            rows, spans = files[reading].rows, files[reading].spans
            for key, value in zip(keys, values.float().cpu().numpy(), strict=True):
                if key in spans:
                    start, stop = spans[key]
                    rows[start:stop] = value[: stop - start] if reading == LAST_HIDDEN_STATE else value
        on_encoded(len(keys))


def _rename_once(staging: Path, final: Path) -> None:
    """Give the files their name, unless a run beside this one has filled the same ones meanwhile."""
    try:
        staging.rename(final)
    except OSError:
        if not final.is_dir():
            raise


def _in_batches(sequences: Mapping[Key, TokenSequence]) -> Iterator[list[Key]]:
    """Neighbours in length, of ``BATCH_TOKENS`` with their padding; the order is a function of the set."""
    keys = sorted(sequences, key=lambda key: (-len(key[0]), key))
    start = 0
    while start < len(keys):
        size = max(1, BATCH_TOKENS // len(sequences[keys[start]].input_ids))
        yield keys[start : start + size]
        start += size
