"""What the encoder has said before, under the exact identity of what it was asked.

Two stores, each bounded in bytes: pooled vectors, by pooling name, always; token states, which are larger
by the number of tokens, only where a loaded head reads them.
"""

import hashlib
import sys
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from export.manifest import Manifest, Pooling, Precision
from service.byte_lru import ByteLRU
from service.encoding import AS_COMPUTED, Encoding, Rounding
from service.tokenization import TokenizedInput

PooledVectors: TypeAlias = Mapping[Pooling, NDArray[np.floating]]
States: TypeAlias = NDArray[np.floating]


def encoder_namespace(manifest: Manifest, precision: Precision, rounding: Rounding = AS_COMPUTED) -> bytes:
    """Identity of the function text → vectors, as a key prefix of 32 bytes.

    The fingerprint alone names the fp32 function: another exporter version, or one more pooling output,
    does not change it, and a new bundle with the same encoder keeps a warm cache. A reduced precision is
    another function for every calibration, so its files' hashes join. So does a rounding: replicas that round
    otherwise must not answer from each other's vectors.
    """
    encoder = manifest.encoder
    parts = [encoder.fingerprint, precision.value]
    if precision is not Precision.FP32:
        parts += [manifest.files[file].sha256 for file in encoder.graphs[precision].files]
    if rounding.name != AS_COMPUTED.name:
        parts.append(rounding.name)
    # Hex of fixed length and words: no two lists of parts join to the same string.
    return hashlib.sha256(",".join(parts).encode()).digest()


def tenant_namespace(namespace: bytes, tenant: str) -> bytes:
    """The key prefix of a tenant that shares no entry with others, of 32 bytes, too; ``""`` shares all."""
    return hashlib.sha256(namespace + tenant.encode()).digest() if tenant else namespace


def sequence_key(namespace: bytes, sequence: TokenizedInput) -> bytes:
    """Identity of one encoder input: the exact bytes, not a digest of them, so that nothing can collide.

    ``namespace (32) | number of tokens (4) | is a pair (1) | token ids (4 each) | token type ids (1 each)``:
    every part's length is known from what stands before it. Being made of tokens, it is blind to task and
    route, and sees truncation and the border between the texts of a pair. Where a family has no token types,
    a text may spell the tokens of a pair; of the two, one alone may keep token states.
    """
    head = sequence.num_tokens.to_bytes(4, "little") + (b"\1" if sequence.is_pair else b"\0")
    return b"".join((namespace, head, sequence.input_ids.tobytes(), sequence.token_type_ids.tobytes()))


class EncoderCache:
    """Encodings by sequence key."""

    def __init__(self, *, pooled_bytes: int, states_bytes: int) -> None:
        self.pooled: ByteLRU[PooledVectors] = ByteLRU(pooled_bytes, size_of=_size_of_vectors)
        self.states: ByteLRU[States] = ByteLRU(states_bytes, size_of=sys.getsizeof)

    def get(self, key: bytes, *, poolings: frozenset[Pooling], with_states: bool) -> Encoding | None:
        """Look an encoding up.

        Args:
            key: From ``sequence_key``.
            poolings: All must be there; a bundle with a further pooling finds its predecessor's entries
            incomplete.
            with_states: Whether the token states must be there, too.
        """
        pooled = self.pooled.get(key)
        if pooled is None or not poolings <= pooled.keys():
            return None
        if not with_states:
            return Encoding(pooled=pooled, states=None)
        states = self.states.get(key)
        return None if states is None else Encoding(pooled=pooled, states=states)

    def put(self, key: bytes, encoding: Encoding) -> None:
        """Keep an encoding. Its arrays must own their memory, or the accounting is wrong."""
        self.pooled.put(key, encoding.pooled)
        if encoding.states is not None:
            self.states.put(key, encoding.states)

    def clear(self) -> None:
        """Forget everything."""
        self.pooled.clear()
        self.states.clear()


def _size_of_vectors(vectors: PooledVectors) -> int:
    # getsizeof of an array that owns its memory: header and data.
    return sys.getsizeof(vectors) + sum(map(sys.getsizeof, vectors.values()))
