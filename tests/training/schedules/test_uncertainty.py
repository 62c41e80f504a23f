import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.schedules.uncertainty import entropy, most_uncertain, uncertainties


def test_a_uniform_prediction_is_most_uncertain_and_a_certain_one_not_at_all() -> None:
    found = entropy(np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0], [2.0, 1.0, 0.0]]))
    assert found[0] == pytest.approx(np.log(3))
    assert found[1] == pytest.approx(0, abs=1e-12)
    assert found[1] < found[2] < found[0]


@pytest.mark.parametrize("huge", [1e3, -1e3])
def test_huge_logits_do_not_overflow(huge: float) -> None:
    assert entropy(np.array([[huge, huge]])) == pytest.approx(np.log(2))


@given(classes=st.lists(st.integers(2, 20), min_size=2, max_size=4))
def test_the_number_of_classes_does_not_matter(classes: list[int]) -> None:
    """Uniform predictions are equally uncertain, whatever they are uniform over."""
    found = uncertainties({f"t{n}": np.zeros((3, count)) for n, count in enumerate(classes)})
    values = np.concatenate(list(found.values()))
    assert values == pytest.approx(np.full(len(values), values[0]))


def test_a_model_that_is_certain_of_everything_divides_nothing_by_zero() -> None:
    found = uncertainties({"a": np.array([[900.0, 0.0]])})
    assert np.isfinite(found["a"]).all()


sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 12), min_size=1)


@given(scored=sizes, unscored=st.integers(0, 12), share=st.floats(0.05, 1), seed=st.integers(0, 99))
def test_as_many_are_kept_as_asked_for(
    scored: dict[str, int], unscored: int, share: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    scores = {name: generator.random(size) for name, size in scored.items()}
    count = max(1, round(share * (sum(scored.values()) + unscored)))
    chosen = most_uncertain(scores, count=count, unscored={"regression": unscored} if unscored else {})
    assert sum(map(len, chosen.values())) == count
    for name, places in chosen.items():
        assert len(set(places.tolist())) == len(places)
        assert all(0 <= place < (scored | {"regression": unscored})[name] for place in places)


def test_the_most_uncertain_are_kept_wherever_they_come_from() -> None:
    scores = {"a": np.array([0.9, 0.1, 0.8]), "b": np.array([0.2, 0.7, 0.3])}
    chosen = most_uncertain(scores, count=3, unscored={})
    assert {name: places.tolist() for name, places in chosen.items()} == {"a": [0, 2], "b": [1]}


def test_a_task_without_classes_keeps_its_share() -> None:
    chosen = most_uncertain({"a": np.linspace(0, 1, 8)}, count=4, unscored={"value": 8})
    assert {name: places.tolist() for name, places in chosen.items()} == {"value": [0, 1], "a": [6, 7]}
