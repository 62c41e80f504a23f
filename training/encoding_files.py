"""Files of encoder outputs: which rows belong to which sequence."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.batches import Batch
from training.encoding import LAST_HIDDEN_STATE, Encoder
from training.pooling import LAYERED
from training.tokenization import TokenSequence

Key: TypeAlias = tuple[bytes, bytes]
"""Token ids and type ids: what makes two sequences the same to the encoder."""

FLOAT_BYTES = 4
NAME_LENGTH = 16
"""Hexadecimal digits: 64 bits tell encoders, and sets of sequences, apart."""
HASH_BYTES = 16
"""Of a sequence in an index: 128 bits tell millions of sequences apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One reading of all sequences.

    Attributes:
        rows: A vector for each sequence, or token states end to end. Shape ``(num_rows, …)``.
        spans: First row and the one behind the last, of each sequence.
    """

    rows: NDArray[np.float32]
    spans: Mapping[Key, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where one reading of each sequence goes.

    Attributes:
        sequences: The distinct ones, in an order that is a function of the set.
        spans: As of ``Stored``, in the same order.
        shape: Of all rows.
    """

    sequences: Mapping[Key, TokenSequence]
    spans: Mapping[Key, tuple[int, int]]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, encoder: Encoder, reading: str, sequences: Iterable[TokenSequence]) -> "Plan":
        """For sequences of which some may be there several times."""
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
        """Size of the file of rows; the index comes on top."""
        return FLOAT_BYTES * int(np.prod(self.shape))

    def create(self, folder: Path, reading: str) -> Stored:
        """Write the index and open the rows, to be filled."""
        hashes = np.frombuffer(b"".join(map(_hash_of, self.spans)), dtype=np.uint8)
        spans = np.array(list(self.spans.values()), dtype=np.int64).reshape(-1, 2)
        np.savez(folder / _index_name(reading), hashes=hashes, spans=spans)
        rows: NDArray[np.float32]
        rows = np.lib.format.open_memmap(
            folder / f"{reading}.npy", mode="w+", dtype=np.float32, shape=self.shape
        )
        return Stored(rows=rows, spans=self.spans)

    def find(self, folder: Path, reading: str) -> Stored | None:
        """What a folder has of the sequences; None unless it has all of them."""
        index = folder / _index_name(reading)
        if not index.is_file():
            return None
        with np.load(index) as arrays:
            hashes, spans = arrays["hashes"].tobytes(), arrays["spans"].tolist()
        known = {
            hashes[HASH_BYTES * row : HASH_BYTES * (row + 1)]: (start, stop)
            for row, (start, stop) in enumerate(spans)
        }
        found = {key: known.get(_hash_of(key)) for key in self.sequences}
        there = {key: span for key, span in found.items() if span is not None}
        if len(there) < len(found):
            return None
        rows: NDArray[np.float32] = np.lib.format.open_memmap(folder / f"{reading}.npy", mode="r")
        return Stored(rows=rows, spans=there)


def opened(folder: Path, plans: Mapping[str, Plan]) -> dict[str, Stored] | None:
    """What a folder has of each reading; None unless it has all of every one."""
    found = {reading: plan.find(folder, reading) for reading, plan in plans.items()}
    there = {reading: stored for reading, stored in found.items() if stored is not None}
    return there if len(there) == len(found) else None


def names_of(encoder: Encoder, plans: Mapping[str, Plan]) -> tuple[str, str]:
    """A name for the encoder, and one for what is read of which sequences."""
    found = hashlib.sha256()
    for reading, plan in sorted(plans.items()):
        found.update(f"{reading} {len(plan.spans)} ".encode())
        for key in plan.spans:
            found.update(_hash_of(key))
    of_encoder = hashlib.sha256(encoder.digest().encode()).hexdigest()
    return of_encoder[:NAME_LENGTH], found.hexdigest()[:NAME_LENGTH]


def keys_of(batch: Batch) -> list[Key]:
    """What tells a batch's sequences apart: their token ids and token types."""
    lengths = batch.attention_mask.sum(dim=1).tolist()
    input_ids, token_type_ids = batch.input_ids.tolist(), batch.token_type_ids.tolist()
    return [
        (_as_bytes(ids[:length]), _as_bytes(types[:length]))
        for ids, types, length in zip(input_ids, token_type_ids, lengths, strict=True)
    ]


def _index_name(reading: str) -> str:
    return f"{reading}.index.npz"


def _key_of(sequence: TokenSequence) -> Key:
    return _as_bytes(sequence.input_ids), _as_bytes(sequence.token_type_ids)


def _hash_of(key: Key) -> bytes:
    ids, types = key  # equally long
    return hashlib.blake2b(ids + types, digest_size=HASH_BYTES).digest()


def _as_bytes(numbers: Sequence[int]) -> bytes:
    return np.array(numbers, dtype=np.int32).tobytes()
