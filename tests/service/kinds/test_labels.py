from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from service.kinds.base import AnswerOptions
from service.kinds.registry import kind_of
from tests.support.service_fakes import task
from tests.support.service_readings import rows_of

THIRDS = [[0.2, 0.5, 0.3]]


def classify(probabilities: Any, temperature: float = 1.0, **options: Any) -> Mapping[str, Any]:
    kind = kind_of(task(labels=("a", "b", "c"), temperature=temperature))
    (answer,) = kind.decoder.answers(rows_of(np.log(probabilities)), AnswerOptions(**options))
    return answer


def give_labels(logits: Any, **options: Any) -> Mapping[str, Any]:
    kind = kind_of(task("multi_label", labels=("a", "b", "c"), thresholds=(0.5, 0.9, 0.2)))
    (answer,) = kind.decoder.answers(rows_of(logits), AnswerOptions(**options))
    return answer


def test_a_label_answer_has_the_best_label_and_all_scores() -> None:
    answer = classify(THIRDS)
    assert answer["label"] == "b"
    assert answer["score"] == answer["scores"]["b"] == pytest.approx(0.5)
    assert list(answer["scores"]) == ["a", "b", "c"]
    assert set(answer) == {"label", "score", "scores"}


def test_ties_go_to_the_first_label() -> None:
    assert classify([[1 / 3] * 3])["label"] == "a"


def test_a_temperature_changes_the_scores_but_not_the_label() -> None:
    calibrated = classify(THIRDS, temperature=2.0)
    assert calibrated["label"] == "b"
    roots = np.sqrt(THIRDS[0])
    assert list(calibrated["scores"].values()) == pytest.approx((roots / roots.sum()).tolist())


def test_top_k_keeps_the_best_scores_the_best_first() -> None:
    assert list(classify(THIRDS, top_k=2)["scores"]) == ["b", "c"]
    assert list(classify(THIRDS, top_k=9)["scores"]) == ["b", "c", "a"]


def test_scores_can_be_left_out_and_logits_added() -> None:
    answer = classify(THIRDS, return_scores=False, return_logits=True)
    assert set(answer) == {"label", "score", "logits"}
    assert answer["logits"] == pytest.approx(np.log(THIRDS[0]).tolist())


def test_each_label_has_its_own_threshold() -> None:
    # The sigmoid of 0 is 0.5, of 2 0.88, of -1 0.27.
    answer = give_labels([[0.0, 2.0, -1.0]])
    assert answer["labels"] == ["a", "c"]
    assert list(answer["scores"]) == ["a", "b", "c"]
    assert give_labels([[-0.1, 2.0, -5.0]])["labels"] == []


def test_labels_come_with_the_most_probable_first_and_top_k_keeps_those() -> None:
    assert give_labels([[1.0, 5.0, 3.0]])["labels"] == ["b", "c", "a"]
    best = give_labels([[1.0, 5.0, 3.0]], top_k=2, return_logits=True)
    assert best["labels"] == list(best["scores"]) == ["b", "c"]
    assert best["logits"] == [1.0, 5.0, 3.0]
    assert "scores" not in give_labels([[1.0, 5.0, 3.0]], return_scores=False)
