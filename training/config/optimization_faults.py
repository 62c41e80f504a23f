"""Mistakes between fields of multitask optimisation, as sentences. Works on the raw document."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from training.aggregation import METHODS
from training.config.optimization import NEEDS_EVERY_TASK
from training.config.sharing import SHARING, WITHOUT_COMMON_PARAMETERS, WITHOUT_SHARED_PARAMETERS

SUM = "sum"
PLANNED = frozenset({"annealed_to_uniform", "annealed_to_size", "staged"})
"""Samplers that divide a run's draws into parts."""


def optimization_faults(raw: Mapping[str, Any]) -> Iterator[str]:
    """Mistakes of the section ``training``, each starting with its place in it."""
    section = raw.get("training")
    training: dict[str, Any] = section if isinstance(section, dict) else {}
    tasks = raw.get("tasks")
    names = [str(name) for name in tasks] if isinstance(tasks, dict) else []
    encoder = raw.get("encoder")
    given = encoder if isinstance(encoder, dict) else {}
    frozen = given.get("train") == "frozen"
    yield from _sampling_faults(training.get("sampling"), names)
    yield from _plan_faults(training)
    yield from _every_task_faults(training)
    yield from _aggregation_faults(training)
    if frozen or training.get("unfreeze_every"):
        yield from _shared_faults(training, raw.get("sharing"), names, frozen=frozen)
    if given.get("frozen_layers") and training.get("unfreeze_every"):
        yield "unfreeze_every: thaws every layer in turn: set encoder.frozen_layers: 0, or leave it out"
    if method(training.get("balancing")) == "famo" and training.get("gradient_accumulation", 1) != 1:
        yield "balancing: famo measures a batch before and after each step: set gradient_accumulation: 1"


def method(given: object, default: str = "") -> str:
    """Name of a method that is written as its name alone or as a section."""
    named = given.get("name", default) if isinstance(given, dict) else given
    return named if isinstance(named, str) else default


def _sampling_faults(sampling: object, names: list[str]) -> Iterator[str]:
    if not isinstance(sampling, dict):
        return
    given = sampling.get("probabilities")
    if method(sampling) == "fixed" and isinstance(given, dict):
        yield from _coverage_faults("sampling.probabilities", map(str, given), names)
        numbers = [p for p in given.values() if isinstance(p, int | float)]
        if len(numbers) == len(given) and not math.isclose(sum(numbers), 1, abs_tol=1e-6):
            yield f"sampling.probabilities: should sum to 1, found {sum(numbers):g}"
    order = sampling.get("order")
    if method(sampling) == "sequential" and isinstance(order, list):
        yield from _coverage_faults("sampling.order", map(str, order), names)
    stages = sampling.get("stages")
    if method(sampling) == "staged" and isinstance(stages, list) and all(isinstance(s, list) for s in stages):
        yield from _coverage_faults(
            "sampling.stages", [str(name) for stage in stages for name in stage], names
        )
        if not all(stages):
            yield "sampling.stages: every stage brings a task, found an empty one"
    epochs, reach = sampling.get("epochs", 10), sampling.get("reach", 5)
    numbers_given = isinstance(epochs, int) and isinstance(reach, int)
    if method(sampling) == "annealed_to_size" and numbers_given and reach > epochs:
        yield f"sampling.reach: {reach} of {epochs} epochs is never reached"


def _plan_faults(training: Mapping[str, Any]) -> Iterator[str]:
    """Samplers that change over the run, where nobody knows before how often they are drawn from."""
    sampling = method(training.get("sampling"))
    if sampling in PLANNED and method(training.get("batches")) == "two_phase":
        yield (
            f"sampling: {sampling} is a plan for the whole run, but nobody knows when the second phase of "
            "batches: two_phase begins: take another sampling, or other batches"
        )
    if sampling == "staged" and training.get("hold") is not None:
        yield "hold: it would use up the plan of sampling: staged by turns that it passes over: leave one out"


def _coverage_faults(place: str, given: Iterable[str], names: list[str]) -> Iterator[str]:
    found = list(given)
    if sorted(found) != sorted(names):
        yield f"{place}: every task once, expected {', '.join(names)}, found {', '.join(found)}"


def _every_task_faults(training: Mapping[str, Any]) -> Iterator[str]:
    """Methods that mix or remember all tasks, where a step may lack some."""
    batches = method(training.get("batches"), "one_task")
    chooses = training.get("example_sampling", "in_turn") != "in_turn"
    if chooses and batches != "metabatch":
        yield (
            "example_sampling: mt_uncertainty compares all tasks' candidates: set batches: metabatch, found "
            f"batches: {batches}"
        )
    leaving = "example_sampling" if chooses else "hold"
    always_all = batches == "metabatch" and training.get("hold") is None and not chooses
    for place, needing in (("balancing", NEEDS_EVERY_TASK), ("aggregation", _remembering())):
        name = method(training.get(place))
        if name in needing and not always_all:
            why = (
                f"batches: {batches}"
                if batches != "metabatch"
                else f"{leaving} leaves tasks out of some steps"
            )
            yield f"{place}: {name} needs every task in every step: set batches: metabatch, found {why}"


def _aggregation_faults(training: Mapping[str, Any]) -> Iterator[str]:
    name = method(training.get("aggregation"), SUM)
    one_batch = training.get("gradient_accumulation", 1) == 1
    one_task = method(training.get("batches"), "one_task") == "one_task"
    if name in METHODS and name != SUM and one_batch and one_task:
        yield (
            f"aggregation: {name} combines the gradients of several tasks, but a step has one: set "
            "batches: metabatch, or gradient_accumulation to the number of tasks that share a step"
        )


def _shared_faults(
    training: Mapping[str, Any], sharing: object, names: list[str], *, frozen: bool
) -> Iterator[str]:
    """Methods that work on shared parameters, where none of the encoder trains, or none does at first."""
    layer = method(sharing)
    given = sharing.get("tasks") if isinstance(sharing, dict) else None
    several_share = layer in SHARING and layer not in WITHOUT_SHARED_PARAMETERS
    all_share = several_share and layer not in WITHOUT_COMMON_PARAMETERS
    all_share = all_share and set(names) <= set(given if isinstance(given, list) else names)
    lack = (
        "but none trains: set encoder.train: full, or a sharing layer"
        if frozen
        else "but none trains at first: leave unfreeze_every out, or take a sharing layer"
    )
    if method(training.get("balancing")) == "gradnorm" and not all_share:
        yield (
            f"balancing: gradnorm compares gradients of parameters that every task uses, {lack} with "
            "parameters of all tasks"
        )
    if training.get("conflict_probe") and not several_share:
        yield f"conflict_probe: compares gradients of parameters that tasks share, {lack}"
    name = method(training.get("aggregation"), SUM)
    if frozen and name in METHODS and name != SUM and not several_share:
        yield f"aggregation: {name} combines gradients of parameters that tasks share, {lack}"
    for place in ("layer_decay", "unfreeze_every") if frozen else ():
        if training.get(place):
            yield f"{place}: only for an encoder that trains: set encoder.train: full, or leave it out"


def _remembering() -> frozenset[str]:
    return frozenset(name for name, found in METHODS.items() if found.needs_every_task)
