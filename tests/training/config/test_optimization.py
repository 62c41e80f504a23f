"""Mistakes of multitask optimisation: their place, what was found, what is possible."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from training.config.file import dump_config, parse_config
from training.errors import ConfigError

SmallConfig = Callable[..., dict[str, Any]]
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown sampler": (
        {"sampling": "proportinal"},
        "training.sampling.name: found 'proportinal'; did you mean",
    ),
    "unknown balancer": ({"balancing": "uncertanty"}, "did you mean 'uncertainty'?"),
    "unknown aggregator": ({"aggregation": {"name": "pcgrd"}}, "did you mean 'pcgrad'?"),
    "parameter of another": (
        {"aggregation": {"name": "pcgrad", "c": 0.5}, "batches": "metabatch"},
        "training.aggregation.c: unknown key; known: name",
    ),
    "parameter out of range": (
        {"aggregation": {"name": "cagrad", "c": 1.5}, "batches": "metabatch"},
        "training.aggregation.c: Input should be less than 1, found 1.5",
    ),
    "field named like a method": (
        {"balancing": {"name": "dwa", "temperature": 0}},
        "training.balancing.temperature: Input should be greater than 0, found 0",
    ),
    "temperature below one": (
        {"sampling": {"name": "temperature", "T": 0.5}},
        "training.sampling.T: Input should be greater than or equal to 1, found 0.5",
    ),
    "probabilities of other tasks": (
        {"sampling": {"name": "fixed", "probabilities": {"sentiment": 1.0}}},
        "training.sampling.probabilities: every task once, expected sentiment, duplicate, stars, found",
    ),
    "probabilities that do not sum to one": (
        {"sampling": {"name": "fixed", "probabilities": {"sentiment": 0.5, "duplicate": 0.3, "stars": 0.3}}},
        "training.sampling.probabilities: should sum to 1, found 1.1",
    ),
    "an order with a task twice": (
        {"sampling": {"name": "sequential", "order": ["stars", "stars", "sentiment"]}},
        "training.sampling.order: every task once",
    ),
    "an epoch that never comes": (
        {"sampling": {"name": "annealed_to_size", "epochs": 4, "reach": 5}},
        "training.sampling.reach: 5 of 4 epochs is never reached",
    ),
    "stages in a phase of unknown length": (
        {"sampling": "staged", "batches": "two_phase"},
        "training.sampling: staged is a plan for the whole run, but nobody knows when the second phase",
    ),
    "annealing in a phase of unknown length": (
        {"sampling": "annealed_to_size", "batches": {"name": "two_phase", "cycle": 2}},
        "training.sampling: annealed_to_size is a plan for the whole run",
    ),
    "stages whose turns are passed over": (
        {"sampling": "staged", "hold": "far_ahead"},
        "training.hold: it would use up the plan of sampling: staged",
    ),
    "a balancer without all tasks": (
        {"balancing": "geometric_mean"},
        "training.balancing: geometric_mean needs every task in every step: set batches: metabatch, found "
        "batches: one_task",
    ),
    "an aggregator with a memory, and tasks held back": (
        {"aggregation": "gradvac", "batches": "metabatch", "hold": "stop_and_go"},
        "training.aggregation: gradvac needs every task in every step",
    ),
    "an aggregator with nothing to combine": (
        {"aggregation": "pcgrad"},
        "training.aggregation: pcgrad combines the gradients of several tasks, but a step has one",
    ),
    "famo over several batches": (
        {"balancing": "famo", "batches": "metabatch", "gradient_accumulation": 2},
        "training.balancing: famo measures a batch before and after each step",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_told_with_its_place_and_what_is_possible(
    small_config: SmallConfig, mistake: str
) -> None:
    training, expected = MISTAKES[mistake]
    with pytest.raises(ConfigError) as error:
        parse_config(small_config(**training))
    assert expected in str(error.value)
    assert len(error.value.faults) == 1


@pytest.mark.parametrize(
    ("training", "place"),
    [
        ({"aggregation": "mgda", "batches": "metabatch"}, "aggregation: mgda combines gradients"),
        ({"balancing": "gradnorm", "batches": "metabatch"}, "balancing: gradnorm compares gradients"),
        ({"layer_decay": 0.9}, "layer_decay: only for an encoder that trains"),
        ({"conflict_probe": True}, "conflict_probe: compares gradients of parameters that tasks share"),
        ({"unfreeze_every": 3}, "unfreeze_every: only for an encoder that trains"),
    ],
)
def test_what_works_on_shared_parameters_needs_some_that_train(
    small_config: SmallConfig, training: dict[str, Any], place: str
) -> None:
    raw = small_config(**training)
    parse_config(raw)
    raw["encoder"]["train"] = "frozen"
    with pytest.raises(ConfigError, match=f"training.{place}"):
        parse_config(raw)


@pytest.mark.parametrize(
    ("training", "place"),
    [
        ({"balancing": "gradnorm", "batches": "metabatch"}, "balancing: gradnorm compares gradients"),
        ({"conflict_probe": True}, "conflict_probe: compares gradients of parameters that tasks share"),
    ],
)
def test_what_compares_shared_gradients_from_the_first_step_needs_some_that_train_then(
    small_config: SmallConfig, training: dict[str, Any], place: str
) -> None:
    raw = small_config(unfreeze_every=3, **training)
    with pytest.raises(ConfigError, match=rf"training\.{place}.* but none trains at first: leave unfreeze"):
        parse_config(raw)
    raw["sharing"] = "mmoe"
    parse_config(raw)


def test_layers_are_frozen_or_thawed_but_not_both(small_config: SmallConfig) -> None:
    raw = small_config(unfreeze_every=3)
    raw["encoder"]["frozen_layers"] = 1
    with pytest.raises(ConfigError, match=r"training\.unfreeze_every: thaws every layer in turn"):
        parse_config(raw)


@pytest.mark.parametrize(
    "training",
    [
        {"sampling": "mt_dnn", "balancing": "uncertainty", "batches": "metabatch", "aggregation": "pcgrad"},
        {"hold": "stop_and_go", "averaging": "ema"},
        {"batches": {"name": "two_phase", "cycle": 3}},
    ],
)
def test_a_name_alone_stands_for_the_defaults_and_is_written_out(
    small_config: SmallConfig, training: dict[str, Any]
) -> None:
    config = parse_config(small_config(**training))
    assert parse_config(yaml.safe_load(dump_config(config))) == config
    written = yaml.safe_load(dump_config(config))["training"]
    for key, value in training.items():
        assert written[key]["name"] == (value if isinstance(value, str) else value["name"])
