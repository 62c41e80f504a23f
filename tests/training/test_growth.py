from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config.file import parse_config
from training.config.growth import GrowthConfig
from training.config.optimization import PlainAggregationConfig
from training.growth import Change, changes, new_heads_alone, replay_probabilities

SmallConfig = Callable[..., dict[str, Any]]


def test_a_run_of_heads_alone_keeps_the_added_tasks_and_nothing_of_how_tasks_share(
    small_config: SmallConfig,
) -> None:
    raw = small_config(batches="metabatch", aggregation="pcgrad", conflict_probe=True, learning_rate=0.5)
    raw["selection"]["score"] = ["stars.pearson", "sentiment.accuracy"]
    growth = GrowthConfig(source="anywhere", add=("stars",))
    config = new_heads_alone(parse_config(raw).model_copy(update={"growth": growth}))
    assert list(config.tasks) == ["stars"]
    assert config.encoder.train == "frozen"
    assert config.joint_score == ("stars.pearson",)
    training = config.training
    assert (training.batches.name, training.aggregation, training.conflict_probe, training.learning_rate) == (
        "one_task", PlainAggregationConfig(), False, 0.5
    )  # fmt: skip


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
