import numpy as np
import pytest

from loadtests.agreement import NEAR, agreement


def test_equal_vectors_agree_completely() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    found = agreement(vectors, vectors)
    assert (found.near, found.largest_gap) == (1.0, 0.0)
    assert found.cosine_least == pytest.approx(1.0)


def test_one_number_is_enough_to_be_apart() -> None:
    expected = np.ones((4, 3), dtype=np.float32)
    found = expected.copy()
    found[1, 2] += 2 * NEAR
    found[2, 0] += NEAR / 2
    result = agreement(found, expected)
    assert result.near == 0.75
    assert result.largest_gap == pytest.approx(2 * NEAR, rel=1e-3)


def test_cosines_are_those_of_the_pairs() -> None:
    result = agreement(
        np.array([[1, 0], [0, 2]], dtype=np.float32), np.array([[3, 0], [1, 1]], dtype=np.float32)
    )
    assert result.cosine_least == pytest.approx(2**-0.5)
    assert result.cosine_mean == pytest.approx((1 + 2**-0.5) / 2)
