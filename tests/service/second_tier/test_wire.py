import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from export.manifest import Pooling
from service.second_tier.wire import (
    CODES,
    HEADER_BYTES,
    Corrupt,
    Shapes,
    pack_states,
    pack_vectors,
    unpack_states,
    unpack_vectors,
)

SHAPES = Shapes(hidden_size=3, num_layers=2, dtype=np.dtype(np.float32))
HALVES = Shapes(hidden_size=3, num_layers=2, dtype=np.dtype(np.float16))
KEYS = st.binary(max_size=60)
FLOATS = st.floats(width=32, allow_nan=False)


@st.composite
def vectors(draw: st.DrawFn) -> dict[Pooling, np.ndarray]:
    poolings = draw(st.lists(st.sampled_from(Pooling), unique=True, max_size=4))
    return {each: draw(arrays(np.float32, SHAPES.pooled(each), elements=FLOATS)) for each in poolings}


def test_every_pooling_has_a_code_of_its_own() -> None:
    assert CODES.keys() == set(Pooling)
    assert len(set(CODES.values())) == len(CODES)


@given(KEYS, vectors())
def test_vectors_come_back_to_the_bit_and_own_their_memory(
    key: bytes, given_vectors: dict[Pooling, np.ndarray]
) -> None:
    found = unpack_vectors(key, pack_vectors(key, given_vectors), SHAPES)
    assert found.keys() == given_vectors.keys()
    for pooling, vector in found.items():
        np.testing.assert_array_equal(vector, given_vectors[pooling])
        assert vector.flags.owndata
        assert vector.dtype == np.float32


@given(KEYS, st.integers(1, 9).flatmap(lambda n: arrays(np.float16, (n, 3))))
def test_halves_come_back_to_the_bit_and_take_half(key: bytes, states: np.ndarray) -> None:
    value = pack_states(key, states)
    assert len(value) == HEADER_BYTES + 2 * states.size
    found = unpack_states(key, value, HALVES, num_tokens=len(states))
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, states)
    vectors = {Pooling.CLS: states[0]}
    np.testing.assert_array_equal(
        unpack_vectors(key, pack_vectors(key, vectors), HALVES)[Pooling.CLS], states[0]
    )


@given(KEYS, st.integers(1, 9).flatmap(lambda n: arrays(np.float32, (n, 3), elements=FLOATS)))
def test_states_come_back_to_the_bit(key: bytes, states: np.ndarray) -> None:
    value = pack_states(key, states)
    np.testing.assert_array_equal(unpack_states(key, value, SHAPES, num_tokens=len(states)), states)
    with pytest.raises(Corrupt):
        unpack_states(key, value, SHAPES, num_tokens=len(states) + 1)


@given(KEYS, vectors(), st.data())
def test_a_value_that_was_changed_anywhere_is_corrupt(
    key: bytes, given_vectors: dict[Pooling, np.ndarray], data: st.DataObject
) -> None:
    value = bytearray(pack_vectors(key, given_vectors))
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Corrupt):
        unpack_vectors(key, bytes(value), SHAPES)


@given(KEYS, KEYS, vectors())
def test_a_value_under_another_key_is_corrupt(
    key: bytes, other: bytes, given_vectors: dict[Pooling, np.ndarray]
) -> None:
    if key != other:
        with pytest.raises(Corrupt):
            unpack_vectors(other, pack_vectors(key, given_vectors), SHAPES)


@given(st.binary(max_size=200))
def test_garbage_is_corrupt_and_never_another_error(value: bytes) -> None:
    with pytest.raises(Corrupt):
        unpack_vectors(b"key", value, SHAPES)
    with pytest.raises(Corrupt):
        unpack_states(b"key", value, SHAPES, num_tokens=2)


def test_another_encoders_vectors_are_corrupt() -> None:
    value = pack_vectors(b"key", {Pooling.CLS: np.zeros(4, dtype=np.float32)})
    with pytest.raises(Corrupt):
        unpack_vectors(b"key", value, SHAPES)
