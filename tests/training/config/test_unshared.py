from collections.abc import Callable
from typing import Any

from training.config.file import parse_config
from training.config.growth import GrowthConfig
from training.config.optimization import PlainAggregationConfig
from training.config.unshared import new_heads_alone

SmallConfig = Callable[..., dict[str, Any]]


def test_a_run_of_heads_alone_keeps_the_added_tasks_and_nothing_of_how_tasks_share(
    small_config: SmallConfig,
) -> None:
    raw = small_config(batches="metabatch", aggregation="pcgrad", conflict_probe=True, learning_rate=0.5)
    raw["training"]["example_sampling"] = "mt_uncertainty"
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
    assert training.example_sampling == "in_turn"
