import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from export.manifest import Pooling
from service.encoding import Encoding
from service.second_tier.search import CALL_BYTES, CALL_KEYS, Search
from service.second_tier.tier import TierRead
from service.second_tier.wire import Shapes, pack_states, pack_vectors
from tests.support.service_fakes import sequence

SHAPES = Shapes(hidden_size=1000, num_layers=2, dtype=np.dtype(np.float32))


def search(lengths: list[int], with_states: list[int]) -> Search:
    wanted = {bytes([place // 256, place % 256]): sequence(length) for place, length in enumerate(lengths)}
    keys = list(wanted)
    return Search(
        wanted=wanted,
        with_states={keys[place] for place in with_states},
        poolings={Pooling.MEAN},
        shapes=SHAPES,
    )


def values_of(found: Search, key: bytes, *, with_states: bool) -> tuple[bytes, bytes | None]:
    encoding = Encoding(
        pooled={Pooling.MEAN: np.zeros(1000, dtype=np.float32)},
        states=np.zeros((found.wanted[key].num_tokens, 1000), dtype=np.float32) if with_states else None,
    )
    states = None if encoding.states is None else pack_states(key, encoding.states)
    return pack_vectors(key, encoding.pooled), states


@given(st.lists(st.integers(1, 400), max_size=300), st.data())
def test_calls_hold_every_key_once_and_no_more_than_they_may_bring(
    lengths: list[int], data: st.DataObject
) -> None:
    places = st.lists(st.sampled_from(range(len(lengths)))) if lengths else st.just([])
    found = search(lengths, data.draw(places))
    calls = list(found.calls())
    assert [key for call in calls for key in call] == list(found.wanted)
    for call in calls:
        assert 1 <= len(call) <= CALL_KEYS
        sizes = [
            4000 + (4000 * found.wanted[key].num_tokens if key in found.with_states else 0) for key in call
        ]
        assert sum(sizes[:-1]) < CALL_BYTES


def test_every_sequence_has_one_outcome() -> None:
    found = search([3, 3, 3, 3, 3, 3], with_states=[1, 2])
    first, second, third, fourth, fifth, _ = found.wanted
    found.saw(first, *values_of(found, first, with_states=False))
    found.saw(second, *values_of(found, second, with_states=True))
    found.saw(third, *values_of(found, third, with_states=False))
    found.saw(fourth, b"garbage", None)
    other = Encoding(pooled={Pooling.CLS: np.zeros(1000, dtype=np.float32)}, states=None)
    found.saw(fifth, pack_vectors(fifth, other.pooled), None)
    found.end(TierRead.FAILED)
    assert found.outcomes == {
        TierRead.HIT: 2, TierRead.MISS: 2, TierRead.CORRUPT: 1, TierRead.FAILED: 1,
    }  # fmt: skip
    assert set(found.found) == {first, second}
