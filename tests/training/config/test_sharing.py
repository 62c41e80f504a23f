"""The section ``sharing``: every layer with its defaults, and mistakes as sentences."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from training.config.file import dump_config, parse_config
from training.config.sharing import SHARING, WITHOUT_COMMON_PARAMETERS, WITHOUT_SHARED_PARAMETERS
from training.errors import ConfigError

SmallConfig = Callable[..., dict[str, Any]]

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown name": ({"name": "mmeo"}, "sharing.name: found 'mmeo'; did you mean 'mmoe'?"),
    "unknown key": ({"name": "mmoe", "expert": 3}, "sharing.expert: unknown key; did you mean 'experts'?"),
    "another layer's key": ({"name": "cgc", "experts": 3}, "did you mean 'task_experts'?"),
    "no experts": (
        {"name": "mmoe", "experts": 0},
        "sharing.experts: Input should be greater than or equal to 1",
    ),
    "no such task": (
        {"name": "moe", "tasks": ["moods"]},
        "sharing.tasks: 'moods' names no task; known: sentiment",
    ),
    "a task twice": ({"name": "moe", "tasks": ["stars", "stars"]}, "sharing.tasks: stars stands there twice"),
    "no task": ({"name": "moe", "tasks": []}, "sharing.tasks: Tuple should have at least 1 item"),
    "reads nobody": ({"name": "asymmetric"}, "sharing.reads: Field required"),
    "reads itself": (
        {"name": "asymmetric", "reads": {"stars": ["stars"]}},
        "sharing.reads.stars: a task reads its own tower anyway",
    ),
    "reads who does not share": (
        {"name": "asymmetric", "tasks": ["stars", "duplicate"], "reads": {"stars": ["sentiment"]}},
        "sharing.reads: 'sentiment' is no task that shares; known: stars, duplicate",
    ),
    "reads twice": (
        {"name": "asymmetric", "reads": {"stars": ["duplicate", "duplicate"]}},
        "sharing.reads.stars: each task once",
    ),
    "odd halves": ({"name": "sluice", "width": 7}, "sharing.width: a sluice cuts its layers in two halves"),
    "fusion": (
        {"name": "customised", "fusion": "max"},
        "sharing.fusion: Input should be 'concat', 'sum' or 'mean', found 'max'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_what_is_possible(
    small_config: SmallConfig, mistake: str
) -> None:
    sharing, expected = MISTAKES[mistake]
    with pytest.raises(ConfigError) as error:
        parse_config(small_config() | {"sharing": sharing})
    assert expected in str(error.value)
    assert len(error.value.faults) == 1


def test_mistakes_are_told_all_at_once(small_config: SmallConfig) -> None:
    sharing = {
        "name": "asymmetric",
        "tasks": ["star"],
        "reads": {"stars": ["stars"]},
        "fusion": 3,
        "depth": 2,
    }
    with pytest.raises(ConfigError) as error:
        parse_config(small_config(steps=0) | {"sharing": sharing})
    places = sorted({fault.split(":")[0] for fault in error.value.faults})
    in_sharing = ["depth", "fusion", "reads", "reads.stars", "tasks"]
    assert places == [*(f"sharing.{place}" for place in in_sharing), "training.steps"]


@pytest.mark.parametrize("name", [name for name in SHARING if name != "asymmetric"])
def test_a_name_alone_stands_for_the_defaults_and_is_written_out(
    small_config: SmallConfig, name: str
) -> None:
    config = parse_config(small_config() | {"sharing": name})
    assert config.sharing is not None
    assert config.sharing.name == name
    assert parse_config(yaml.safe_load(dump_config(config))) == config


def test_without_the_section_nothing_stands_between(small_config: SmallConfig) -> None:
    assert parse_config(small_config()).sharing is None


FROZEN = {
    "aggregation": {"aggregation": "pcgrad", "batches": "metabatch"},
    "balancing": {"balancing": "gradnorm", "batches": "metabatch"},
    "conflict_probe": {"conflict_probe": True},
}


@pytest.mark.parametrize("place", FROZEN)
@pytest.mark.parametrize("name", SHARING)
def test_over_a_frozen_encoder_the_sharing_layer_is_what_tasks_share(
    small_config: SmallConfig, name: str, place: str
) -> None:
    raw = small_config(**FROZEN[place])
    raw["encoder"]["train"] = "frozen"
    raw["sharing"] = {"name": name, **({"reads": {"stars": ["duplicate"]}} if name == "asymmetric" else {})}
    refused = WITHOUT_SHARED_PARAMETERS | (WITHOUT_COMMON_PARAMETERS if place == "balancing" else set())
    if name in refused:
        with pytest.raises(ConfigError, match=f"training.{place}: .*but none trains"):
            parse_config(raw)
    else:
        parse_config(raw)


def test_gradnorm_over_a_frozen_encoder_needs_parameters_of_every_task(small_config: SmallConfig) -> None:
    raw = small_config(**FROZEN["balancing"])
    raw["encoder"]["train"] = "frozen"
    raw["sharing"] = {"name": "mmoe", "tasks": ["stars", "duplicate"]}
    with pytest.raises(ConfigError, match="gradnorm compares gradients of parameters that every task uses"):
        parse_config(raw)
    raw["sharing"]["tasks"] = ["stars", "duplicate", "sentiment"]
    parse_config(raw)
