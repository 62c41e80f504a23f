from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.splitting import split_by_size


@given(st.lists(st.integers(1, 12), max_size=30))
def test_what_is_split_by_size_stays_whole_in_order_and_within_the_sum(sizes: list[int]) -> None:
    parts = [sizes[part] for part in split_by_size(sizes, most=10)]
    assert [size for part in parts for size in part] == sizes
    assert all(sum(part) <= 10 or len(part) == 1 for part in parts)
    assert all(sum(before) + after[0] > 10 for before, after in pairwise(parts))
