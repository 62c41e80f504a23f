from hypothesis import given
from hypothesis import strategies as st

from examples.russian.split_similarity import split

PAIRS = st.lists(
    st.builds(lambda a, b: {"text_a": a, "text_b": b}, *(st.sampled_from("abcdefghijklmnop"),) * 2),
    min_size=1,
    max_size=30,
)


@given(PAIRS, st.integers(1, 10))
def test_no_text_is_on_both_sides_and_no_pair_is_lost(pairs: list[dict[str, str]], num_dev: int) -> None:
    train, dev = split(pairs, num_dev=num_dev)
    assert sorted(train + dev) == list(range(len(pairs)))

    def texts(numbers: list[int]) -> set[str]:
        return {text for number in numbers for text in pairs[number].values()}

    assert not texts(train) & texts(dev)
