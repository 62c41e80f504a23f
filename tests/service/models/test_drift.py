from typing import Any

import pytest

from service.models.drift import Drift, TaskDrift, decision_of, distance

ENTITY = {"label": "PER", "text": "Ada", "start": 0, "end": 3, "score": 0.75}


@pytest.mark.parametrize(
    ("served", "shadow", "agrees", "gap"),
    [
        (
            {"label": "a", "score": 0.75, "scores": {"a": 0.75, "b": 0.25}},
            {"label": "b", "score": 0.5, "scores": {"a": 0.5, "b": 0.5}},
            False,
            0.25,
        ),
        ({"label": "a", "score": 0.75}, {"label": "a", "score": 0.5}, True, 0.25),
        ({"label": "a", "score": 0.75}, {"label": "b", "score": 0.5}, False, 0.75),
        ({"labels": ["a", "b"], "scores": {"a": 1.0}}, {"labels": ["b", "a"], "scores": {}}, True, 1.0),
        ({"value": 2.5}, {"value": 4.0}, None, 1.5),
        (
            {"ranking": [{"index": 1, "score": 0.5}, {"index": 0, "score": 0.25}]},
            {"ranking": [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.5}]},
            False,
            0.25,
        ),
        ({"entities": [ENTITY]}, {"entities": []}, False, 0.75),
        ({"entities": [ENTITY]}, {"entities": [{**ENTITY, "score": 0.5}]}, True, 0.25),
        (
            {"tokens": [{"label": "N", "score": 0.5}, {"label": None, "score": None}]},
            {"tokens": [{"label": "N", "score": 0.25}, {"label": None, "score": None}]},
            True,
            0.25,
        ),
        ({"choice": "x", "index": 0, "score": 0.5}, {"choice": "y", "index": 1, "score": 0.5}, False, 0.5),
        (
            {"answer": "", "start": None, "end": None, "score": 0.5},
            {"answer": "a", "start": 0, "end": 1, "score": 0.75},
            False,
            0.75,
        ),
    ],
)
def test_answers_of_every_kind_are_compared(
    served: dict[str, Any], shadow: dict[str, Any], agrees: bool | None, gap: float
) -> None:
    seen = TaskDrift()
    seen.saw(served, shadow)
    assert seen.agreement == (None if agrees is None else float(agrees))
    assert seen.distance_max == seen.mean_distance == gap
    mirrored = distance(decision_of(shadow).scores, decision_of(served).scores)
    assert mirrored == gap


def test_tasks_that_only_one_version_has_are_left_out() -> None:
    drift = Drift()
    drift.saw(
        [{"old": {"value": 1.0}, "both": {"value": 1.0}}], [{"new": {"value": 1}, "both": {"value": 2}}]
    )
    assert list(drift.tasks) == ["both"]
    assert drift.requests == 1


def test_scores_that_were_left_out_are_no_distance_and_the_decisions_count() -> None:
    seen = TaskDrift()
    seen.saw({"label": "a", "score": 0.6}, {"label": "b", "score": 0.5}, with_scores=False)
    assert (seen.compared, seen.agreement, seen.mean_distance) == (1, 0.0, None)
    seen.saw({"label": "a", "score": 0.75}, {"label": "a", "score": 0.5})
    assert (seen.compared, seen.agreement, seen.mean_distance, seen.distance_max) == (2, 0.5, 0.25, 0.25)
