"""Encodings ↔ the bytes that lie in Redis. Pure.

``format (1) | digest (8) | body``. The digest covers the key, too: a value that lies under another key is as
bad as a damaged one. What a body holds follows from the encoder, so it has no shapes:

- of pooled vectors: ``pooling (1) | numbers …`` for each pooling;
- of token states: ``numbers …``.

Numbers are float32, or float16 where the cache rounds to it; the key tells which.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from export.manifest import EncoderEntry, Pooling

FORMAT = 1
DIGEST_BYTES = 8
HEADER_BYTES = 1 + DIGEST_BYTES

CODES: Mapping[Pooling, int] = MappingProxyType(
    {
        Pooling.CLS: 1,
        Pooling.MEAN: 2,
        Pooling.MAX: 3,
        Pooling.POOLER: 4,
        Pooling.CLS_LAYERS: 5,
        Pooling.MEAN_LAYERS: 6,
    }
)
_POOLINGS = {code: pooling for pooling, code in CODES.items()}

Vectors = Mapping[Pooling, NDArray[np.floating]]


class Corrupt(Exception):  # noqa: N818 - as service.errors names its own
    """Bytes that this encoder did not write under this key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """What an encoder's outputs look like."""

    hidden_size: int
    num_layers: int
    dtype: np.dtype[np.floating]
    """That encodings are kept in."""

    @classmethod
    def of(cls, entry: EncoderEntry, *, dtype: np.dtype[np.floating]) -> "Shapes":
        """The shapes that a manifest's encoder gives."""
        return cls(hidden_size=entry.hidden_size, num_layers=entry.num_layers, dtype=dtype)

    def pooled(self, pooling: Pooling) -> tuple[int, ...]:
        """``(hidden_size,)``, or ``(num_layers + 1, hidden_size)`` for a layered pooling."""
        return (self.num_layers + 1, self.hidden_size) if pooling.is_layered else (self.hidden_size,)

    def pooled_bytes(self, pooling: Pooling) -> int:
        """Of a sequence's vector."""
        return self.dtype.itemsize * math.prod(self.pooled(pooling))

    def states_bytes(self, num_tokens: int) -> int:
        """Of a sequence's token states."""
        return self.dtype.itemsize * num_tokens * self.hidden_size


def pack_vectors(key: bytes, vectors: Vectors) -> bytes:
    """Pooled vectors as a value."""
    parts = [bytes([CODES[pooling]]) + _little_endian(vector) for pooling, vector in vectors.items()]
    return _seal(key, b"".join(parts))


def unpack_vectors(key: bytes, value: bytes, shapes: Shapes) -> Vectors:
    """Pooled vectors of a value.

    Raises:
        Corrupt: If it is none.
    """
    body = _open(key, value)
    vectors: dict[Pooling, NDArray[np.floating]] = {}
    place = 0
    while place < len(body):
        pooling = _POOLINGS.get(body[place])
        if pooling is None:
            raise Corrupt(f"there is no pooling {body[place]}")
        end = place + 1 + shapes.pooled_bytes(pooling)
        vectors[pooling] = _numbers(body[place + 1 : end], shapes.pooled(pooling), shapes.dtype)
        place = end
    return vectors


def pack_states(key: bytes, states: NDArray[np.floating]) -> bytes:
    """Token states as a value."""
    return _seal(key, _little_endian(states))


def unpack_states(key: bytes, value: bytes, shapes: Shapes, *, num_tokens: int) -> NDArray[np.floating]:
    """Token states of a value. Shape ``(num_tokens, hidden_size)``.

    Raises:
        Corrupt: If it is none.
    """
    return _numbers(_open(key, value), (num_tokens, shapes.hidden_size), shapes.dtype)


def _little_endian(numbers: NDArray[np.floating]) -> bytes:
    return numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes()


def _numbers(data: bytes, shape: tuple[int, ...], dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
    if len(data) != dtype.itemsize * math.prod(shape):
        raise Corrupt(f"expected {shape} numbers, found {len(data)} bytes")
    # A copy owns its memory, as the cache's accounting wants it.
    return np.frombuffer(data, dtype=dtype.newbyteorder("<")).reshape(shape).astype(dtype, copy=True)


def _seal(key: bytes, body: bytes) -> bytes:
    return bytes([FORMAT]) + _digest(key, body) + body


def _open(key: bytes, value: bytes) -> bytes:
    if len(value) < HEADER_BYTES or value[0] != FORMAT:
        raise Corrupt(f"expected format {FORMAT}, found {value[:1]!r}")
    body = value[HEADER_BYTES:]
    if value[1:HEADER_BYTES] != _digest(key, body):
        raise Corrupt("the digest does not fit")
    return body


def _digest(key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES, key=hashlib.sha256(key).digest()).digest()
