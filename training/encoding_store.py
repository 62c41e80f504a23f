"""A frozen encoder's outputs, each computed once and kept in files: an epoch then costs only the heads."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batches import Batch, pad
from training.encoding import LAST_HIDDEN_STATE, Encoder
from training.pooling import LAYERED
from training.tokenization import TokenSequence

Key: TypeAlias = tuple[bytes, bytes]
"""Token ids and type ids: what makes two sequences the same to the encoder."""

BATCH_TOKENS = 2048
"""Of a forward pass while the store is filled."""
FLOAT_BYTES = 4
NAME_LENGTH = 16
"""Hexadecimal digits: 64 bits tell sets of sequences apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One reading of all sequences.

    Attributes:
        rows: A vector for each sequence, or token states end to end. Shape ``(num_rows, …)``.
        spans: First row and the one behind the last, of each sequence.
    """

    rows: NDArray[np.float32]
    spans: Mapping[Key, tuple[int, int]]


class EncodingStore:
    """Answers for an encoder whose weights stay as they are.

    The numbers depend on the encoder and the set of sequences alone, not on the batches that read them, and
    so does the name that their files have in the folder: whoever needs the same ones opens what is there.

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
        """What is stored."""
        return tuple(self._stored)

    @property
    def num_bytes(self) -> int:
        """Of all files together."""
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
            {reading: _Plan.of(encoder, reading, sequences) for reading, sequences in needs.items()}
        )
        if not plans:
            return
        files = self._folder / _name_of(encoder, plans)
        if not files.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".", dir=self._folder) as staging:
                _fill(encoder, plans, Path(staging) / files.name, on_encoded)
                _rename_once(Path(staging) / files.name, files)
        self._stored = {reading: plan.open(files / f"{reading}.npy") for reading, plan in plans.items()}

    def read(self, batch: Batch, reading: str) -> Tensor | None:
        """What ``Encoder.read`` gives, without gradient; zeros behind the end of shorter sequences.

        Returns:
            None if the reading is not stored, or a sequence is not.
        """
        stored = self._stored.get(reading)
        if stored is None:
            return None
        spans = [stored.spans.get(key) for key in _keys_of(batch)]
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

    def _that_fit(self, plans: Mapping[str, "_Plan"]) -> dict[str, "_Plan"]:
        fitting, left = {}, self._max_bytes
        for reading, plan in sorted(plans.items(), key=lambda item: item[1].num_bytes):
            if 0 < plan.num_bytes <= left:
                left -= plan.num_bytes
                fitting[reading] = plan
        return fitting


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Where one reading of each sequence goes."""

    sequences: Mapping[Key, TokenSequence]
    spans: Mapping[Key, tuple[int, int]]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, encoder: Encoder, reading: str, sequences: Iterable[TokenSequence]) -> "_Plan":
        given = {_key_of(sequence): sequence for sequence in sequences}
        distinct = {key: given[key] for key in sorted(given)}
        is_states = reading == LAST_HIDDEN_STATE
        lengths = [len(each.input_ids) if is_states else 1 for each in distinct.values()]
        ends = np.cumsum([0, *lengths]).tolist()
        layers = (encoder.num_layers + 1,) if reading in LAYERED else ()
        return cls(
            sequences=distinct,
            spans=dict(zip(distinct, pairwise(ends), strict=True)),
            shape=(ends[-1], *layers, encoder.hidden_size),
        )

    @property
    def num_bytes(self) -> int:
        return FLOAT_BYTES * int(np.prod(self.shape))

    def create(self, file: Path) -> Stored:
        rows: NDArray[np.float32]
        rows = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=self.shape)
        return Stored(rows=rows, spans=self.spans)

    def open(self, file: Path) -> Stored:
        rows: NDArray[np.float32] = np.lib.format.open_memmap(file, mode="r")
        return Stored(rows=rows, spans=self.spans)


def _name_of(encoder: Encoder, plans: Mapping[str, _Plan]) -> str:
    """Of the files: a hash of the encoder, of what is read, and of which sequences' rows lie where."""
    found = hashlib.sha256(encoder.digest().encode())
    for reading, plan in sorted(plans.items()):
        found.update(f"{reading} {len(plan.spans)} ".encode())
        for key in plan.spans:
            for part in key:
                found.update(len(part).to_bytes(4, "little"))
                found.update(part)
    return found.hexdigest()[:NAME_LENGTH]


@torch.inference_mode()
def _fill(
    encoder: Encoder, plans: Mapping[str, _Plan], folder: Path, on_encoded: Callable[[int], None]
) -> None:
    """One forward pass a sequence, whatever is read of it."""
    device = next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
    every = {key: sequence for plan in plans.values() for key, sequence in plan.sequences.items()}
    folder.mkdir()
    files = {reading: plan.create(folder / f"{reading}.npy") for reading, plan in plans.items()}
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


def _key_of(sequence: TokenSequence) -> Key:
    return _as_bytes(sequence.input_ids), _as_bytes(sequence.token_type_ids)


def _keys_of(batch: Batch) -> list[Key]:
    lengths = batch.attention_mask.sum(dim=1).tolist()
    input_ids, token_type_ids = batch.input_ids.tolist(), batch.token_type_ids.tolist()
    return [
        (_as_bytes(ids[:length]), _as_bytes(types[:length]))
        for ids, types, length in zip(input_ids, token_type_ids, lengths, strict=True)
    ]


def _as_bytes(numbers: Sequence[int]) -> bytes:
    return np.array(numbers, dtype=np.int32).tobytes()
