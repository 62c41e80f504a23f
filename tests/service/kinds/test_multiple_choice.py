from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from service.inputs import ChoiceInput
from service.kinds.base import AnswerOptions
from service.kinds.registry import kind_of
from service.kinds.scores import softmax
from tests.support.service_fakes import task
from tests.support.service_readings import readings_of

ASKED = ChoiceInput(question="What?", choices=("run", "wait", "ask"))


def choose(*logits: float, temperature: float = 1.0, **options: Any) -> Mapping[str, Any]:
    kind = kind_of(task("multiple_choice", temperature=temperature))
    (answer,) = kind.decoder.answers(
        readings_of((ASKED, [[each] for each in logits])), AnswerOptions(**options)
    )
    return answer


def test_the_best_choice_is_named_by_text_and_index() -> None:
    answer = choose(0.0, 1.0, 0.5)
    assert (answer["choice"], answer["index"]) == ("wait", 1)
    assert answer["score"] == max(answer["scores"])
    assert sum(answer["scores"]) == pytest.approx(1.0)


def test_scores_are_over_the_choices_of_one_question() -> None:
    expected = softmax(np.array([0.0, 1.0, 0.5]), temperature=3.0).tolist()
    assert choose(0.0, 1.0, 0.5, temperature=3.0)["scores"] == pytest.approx(expected)


def test_ties_go_to_the_first_choice() -> None:
    assert choose(1.0, 1.0, 1.0)["index"] == 0


def test_scores_can_be_left_out_and_logits_added() -> None:
    answer = choose(0.0, 1.0, 0.5, return_scores=False, return_logits=True)
    assert set(answer) == {"choice", "index", "score", "logits"}
    assert answer["logits"] == [0.0, 1.0, 0.5]
