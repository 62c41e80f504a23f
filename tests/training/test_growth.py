import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.growth import Change, changes, replay_probabilities


@given(
    known=st.lists(st.integers(1, 10**6), min_size=1, max_size=5),
    new=st.lists(st.integers(1, 10**6), min_size=1, max_size=5),
    share=st.floats(0.01, 0.99),
)
def test_known_tasks_get_their_share_together_and_by_size(
    known: list[int], new: list[int], share: float
) -> None:
    sizes = {f"known_{n}": size for n, size in enumerate(known)} | {f"new_{n}": s for n, s in enumerate(new)}
    added = [name for name in sizes if name.startswith("new")]
    found = replay_probabilities(sizes, added, share)
    assert list(found) == list(sizes)
    assert sum(found.values()) == pytest.approx(1)
    assert sum(p for name, p in found.items() if name not in added) == pytest.approx(share)
    assert found["known_0"] * sum(known) == pytest.approx(share * known[0])
    assert found["new_0"] * sum(new) == pytest.approx((1 - share) * new[0])


def test_a_change_is_of_the_primary_metric_where_both_have_it() -> None:
    before = {"mood": {"accuracy": 0.8, "f1": 0.1}, "gone": {"accuracy": 0.5}, "odd": {"pearson": 0.2}}
    after = {"mood": {"accuracy": 0.7, "f1": 0.9}, "new": {"accuracy": 0.4}, "odd": {"spearman": 0.3}}
    assert changes(before, after) == {"mood": Change(metric="accuracy", before=0.8, after=0.7)}
