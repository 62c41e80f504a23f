"""A frozen encoder's outputs, each computed once and kept in files: an epoch then costs only the heads."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
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

    The numbers depend on the set of sequences alone, not on the batches that read them, so a resumed run
    that fills its store anew repeats the interrupted one.

    Args:
        folder: Of the memory-mapped files; created.
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
        fill: bool,
        on_encoded: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Encode every sequence once, or open what another process has filled.

        Args:
            encoder: In evaluation mode.
            needs: Sequences by what is read of them.
            fill: Whether to compute; else the files are there.
            on_encoded: Called with the sequences encoded since the last call.
        """
        plans = {reading: _Plan.of(encoder, reading, sequences) for reading, sequences in needs.items()}
        self._folder.mkdir(parents=True, exist_ok=True)
        left = self._max_bytes
        for reading, plan in sorted(plans.items(), key=lambda item: item[1].num_bytes):
            if 0 < plan.num_bytes <= left:
                left -= plan.num_bytes
                self._stored[reading] = plan.open(self._folder / f"{reading}.npy", write=fill)
        if fill:
            self._fill(encoder, {reading: plans[reading].sequences for reading in self._stored}, on_encoded)

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

    @torch.inference_mode()
    def _fill(
        self,
        encoder: Encoder,
        sequences: Mapping[str, Mapping[Key, TokenSequence]],
        on_encoded: Callable[[int], None],
    ) -> None:
        """One forward pass a sequence, whatever is read of it."""
        device = next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
        every = {key: sequence for each in sequences.values() for key, sequence in each.items()}
        for keys in _in_batches(every):
            batch = pad([every[key] for key in keys], pad_token_id=encoder.pad_token_id).to(device)
            wanted = [name for name, each in sequences.items() if any(key in each for key in keys)]
            for reading, values in encoder.read(batch, wanted).items():
                rows, spans = self._stored[reading].rows, self._stored[reading].spans
                for key, value in zip(keys, values.float().cpu().numpy(), strict=True):
                    if key in spans:
                        start, stop = spans[key]
                        rows[start:stop] = value[: stop - start] if reading == LAST_HIDDEN_STATE else value
            on_encoded(len(keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Where one reading of each sequence goes."""

    sequences: Mapping[Key, TokenSequence]
    spans: Mapping[Key, tuple[int, int]]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, encoder: Encoder, reading: str, sequences: Iterable[TokenSequence]) -> "_Plan":
        distinct = {_key_of(sequence): sequence for sequence in sequences}
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

    def open(self, file: Path, *, write: bool) -> Stored:
        mode = "w+" if write else "r"
        rows: NDArray[np.float32]
        rows = np.lib.format.open_memmap(file, mode=mode, dtype=np.float32, shape=self.shape)
        return Stored(rows=rows, spans=self.spans)


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
