"""How often a cache finds a text, where few texts are asked about often and many rarely: Zipf's law.

The cache is the service's own (``service/encoder_cache.py``): entries are charged for what they hold, and
leave in the order in which it drops them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.manifest import EncoderEntry
from service.encoder_cache import EncoderCache, sequence_key
from service.encoding import Encoding
from service.tokenization import TokenizedInput

WARM_UP_SHARE = 0.5
"""Of the requests, before any is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipfTraffic:
    """Texts of a population, the one of rank ``r`` asked about in proportion to ``r ** -exponent``."""

    num_texts: int
    exponent: float

    def shares(self) -> NDArray[np.float64]:
        """Of each rank in the requests. Shape ``(num_texts,)``."""
        weights = np.arange(1, self.num_texts + 1, dtype=np.float64) ** -self.exponent
        return np.asarray(weights / weights.sum())

    def draw(self, count: int, *, seed: int) -> NDArray[np.int64]:
        """Ranks, from 0, of so many requests. Shape ``(count,)``."""
        bounds = np.cumsum(self.shares())
        places = np.random.default_rng(seed).random(count) * bounds[-1]
        return np.asarray(np.minimum(np.searchsorted(bounds, places, side="right"), self.num_texts - 1))


def hit_rate(
    traffic: ZipfTraffic,
    encoder: EncoderEntry,
    *,
    cache_bytes: int,
    tokens: int,
    requests: int,
    seed: int = 0,
) -> float:
    """Share of requests whose text the cache has, once it is warm.

    Args:
        traffic: What is asked.
        encoder: Whose vectors are kept.
        cache_bytes: As ``ENCODEONCE_POOLED_CACHE_BYTES``.
        tokens: Of every text: they are a part of its key.
        requests: To simulate, those that warm the cache included.
        seed: Of the requests.
    """
    cache = EncoderCache(pooled_bytes=cache_bytes, states_bytes=0)
    poolings = frozenset(encoder.poolings)
    # The same vectors for every text: each entry is charged for them, and they are in memory once.
    vectors = {pooling: np.zeros(encoder.hidden_size, dtype=np.float32) for pooling in encoder.poolings}
    encoding = Encoding(pooled=vectors, states=None)
    keys = _keys(traffic.num_texts, tokens)
    warm_up = int(WARM_UP_SHARE * requests)
    hits = 0
    for number, rank in enumerate(traffic.draw(requests, seed=seed).tolist()):
        if cache.get(keys[rank], poolings=poolings, with_states=False) is None:
            cache.put(keys[rank], encoding)
        elif number >= warm_up:
            hits += 1
    return hits / (requests - warm_up)


def _keys(count: int, tokens: int) -> list[bytes]:
    """As many different keys, of the length that keys of such texts have."""
    text = TokenizedInput(
        input_ids=np.zeros(tokens, dtype=np.int32),
        token_type_ids=np.zeros(tokens, dtype=np.uint8),
        is_pair=False,
        is_truncated=False,
    )
    length = len(sequence_key(bytes(32), text))
    return [number.to_bytes(length, "little") for number in range(count)]
