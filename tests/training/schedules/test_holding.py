import json
import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.samplers import EveryTaskSampler, RoundRobinSampler, SamplerFactory
from training.schedules.far_ahead import FarAhead
from training.schedules.holding import HoldingSampler
from training.schedules.stop_and_go import StopAndGo, StopAndGoSettings, Track, advance

TASKS = ("a", "b")
SETTINGS = StopAndGoSettings()


def states(scores: list[float]) -> str:
    track, found = Track(), ""
    for score in scores:
        track = advance(track, score, SETTINGS)
        found += "S" if track.is_held else "G"
    return found


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.50, 0.60, 0.70, 0.80], "GGGG"),
        ([0.50, 0.50, 0.50, 0.50], "GGSS"),  # stopped at the second evaluation without a gain
        ([0.50, 0.5004, 0.5004], "GGS"),  # a gain of less than 0.1 % is none
        ([0.50, 0.50, 0.5, 0.499, 0.497], "GGSSG"),  # and going again 0.5 % below the best
        ([0.50, 0.50, 0.50, 0.40, 0.40, 0.40, 0.40], "GGSGGGG"),  # the best stays out of reach
        ([-0.3, -0.2, -0.1, 0.1], "GGSS"),  # below 0 counts as 0: no gain
    ],
)
def test_stop_and_go_follows_the_papers_rule(scores: list[float], expected: str) -> None:
    assert states(scores) == expected


def test_an_evaluation_in_the_cooldown_does_not_count_as_bad() -> None:
    track = Track(best=0.5, bad=1, cooldown=1)
    assert advance(track, 0.4999, SETTINGS) == Track(best=0.5, bad=0, cooldown=0)


@given(scores=st.lists(st.floats(0, 1), max_size=30))
def test_the_best_score_only_rises_and_a_gain_never_stops_a_task(scores: list[float]) -> None:
    track = Track()
    for before, score in pairwise([0.0, *scores]):
        after = advance(track, score, SETTINGS)
        assert after.best >= track.best
        if score > track.best * 1.001 and not track.is_held:
            assert not after.is_held
        track = after
        assert before >= 0


def flat(rule: StopAndGo, evaluations: int, **scores: float) -> StopAndGo:
    for _ in range(evaluations):
        rule.end_evaluation(scores, 0.0)
    return rule


def test_a_stopped_task_steps_at_every_fourth_of_its_turns() -> None:
    rule = StopAndGo(TASKS, SETTINGS)
    for number in range(4):
        rule.end_evaluation({"a": 0.5, "b": 0.5 + 0.1 * number}, 0.0)
    assert rule.held == {"a"}
    sampler = HoldingSampler(RoundRobinSampler(TASKS), rule, every=4)
    found = Counter(sampler.draw()[0] for _ in range(500))
    assert found["a"] / found["b"] == pytest.approx(0.25, abs=0.01)
    assert sampler.probabilities == pytest.approx({"a": 0.2, "b": 0.8})


def test_a_held_task_is_left_out_of_the_metabatch() -> None:
    rule = StopAndGo(TASKS, SETTINGS)
    for number in range(4):
        rule.end_evaluation({"a": 0.5, "b": 0.5 + 0.1 * number}, 0.0)
    sampler = HoldingSampler(EveryTaskSampler(TASKS), rule, every=3)
    assert [sampler.draw() for _ in range(4)] == [("b",), ("b",), ("a", "b"), ("b",)]
    assert sampler.probabilities == pytest.approx({"a": 1 / 3, "b": 1})


def test_a_draw_is_found_even_if_every_task_is_held() -> None:
    rule = flat(StopAndGo(TASKS, SETTINGS), 5, a=0.5, b=0.5)
    assert rule.held == {"a", "b"}
    for sampler in (RoundRobinSampler(TASKS), EveryTaskSampler(TASKS)):
        holding = HoldingSampler(sampler, rule, every=4)
        assert Counter(name for _ in range(100) for name in holding.draw()).keys() == {"a", "b"}


def far_ahead(falls: dict[str, float], *, steps: int = 60) -> FarAhead:
    rule = FarAhead(list(falls), margin=0.2, initial_steps=2)
    for step in range(steps):
        rule.end_step({name: 3.0 * fall**step for name, fall in falls.items()})
    return rule


def test_a_task_is_held_when_its_loss_has_fallen_much_further() -> None:
    assert far_ahead({"a": 0.9, "b": 1.0}).held == {"a"}
    assert far_ahead({"a": 0.999, "b": 1.0}).held == set()
    assert far_ahead({"a": 0.9, "b": 1.0}, steps=1).held == set()  # no initial losses yet


@given(falls=st.fixed_dictionaries({"a": st.floats(0.8, 1), "b": st.floats(0.8, 1), "c": st.floats(0.8, 1)}))
def test_the_task_furthest_behind_is_never_held(falls: dict[str, float]) -> None:
    assert max(falls, key=lambda name: falls[name]) not in far_ahead(falls).held


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_not_averaged_in(broken: float) -> None:
    rule = far_ahead({"fast": 0.9, "slow": 1.0})
    held = rule.held
    assert held == {"fast"}
    rule.end_step({"fast": broken, "slow": broken})
    assert rule.held == held


def test_units_do_not_matter() -> None:
    one, other = (FarAhead(["a", "b"], margin=0.2, initial_steps=2) for _ in range(2))
    for step in range(40):
        one.end_step({"a": 0.9**step, "b": 1.0})
        other.end_step({"a": 1000 * 0.9**step, "b": 0.01})
    assert one.held == other.held == {"a"}


@pytest.mark.parametrize("kind", ["stop_and_go", "far_ahead"])
def test_a_restored_rule_goes_on_as_before(kind: str) -> None:
    def build() -> HoldingSampler:
        rule = StopAndGo(TASKS, SETTINGS) if kind == "stop_and_go" else FarAhead(TASKS, margin=0.1)
        factory = SamplerFactory(sizes={"a": 9, "b": 5}, batch_size=1, draws=99, seed=1)
        return HoldingSampler(factory.proportional(), rule, every=4)

    def play(sampler: HoldingSampler, steps: range) -> list[tuple[str, ...]]:
        found = []
        for step in steps:
            names = sampler.draw()
            found.append(names)
            sampler.end_step({name: 2.0 * (0.9**step if name == "a" else 1) for name in names})
            if step % 3 == 0:
                sampler.end_evaluation({"a": 0.5, "b": 0.5 + 0.01 * step}, 0.5)
        return found

    one, other = build(), build()
    play(one, range(40))
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert play(other, range(40, 90)) == play(one, range(40, 90))
