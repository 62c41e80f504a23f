from collections.abc import Mapping
from typing import Any

import pytest

from service.inputs import RankingInput
from service.kinds.base import AnswerOptions
from service.kinds.registry import kind_of
from tests.support.service_fakes import task
from tests.support.service_readings import readings_of


def rank(*logits: float, temperature: float = 1.0, **options: Any) -> Mapping[str, Any]:
    kind = kind_of(task("ranking", pair="bi_encoder", temperature=temperature))
    asked = RankingInput(query="q", documents=tuple(map(str, logits)))
    (answer,) = kind.decoder.answers(
        readings_of((asked, [[each] for each in logits])), AnswerOptions(**options)
    )
    return answer


def places(answer: Mapping[str, Any]) -> list[int]:
    return [each["index"] for each in answer["ranking"]]


def test_documents_come_by_descending_relevance_and_ties_keep_their_order() -> None:
    assert places(rank(0.0, 2.0, -1.0, 2.0)) == [1, 3, 0, 2]


def test_documents_are_told_apart_where_the_sigmoid_is_flat() -> None:
    assert places(rank(800.0, 900.0)) == [1, 0]


def test_scores_are_calibrated_probabilities() -> None:
    assert rank(0.0)["ranking"] == [{"index": 0, "score": 0.5}]
    assert rank(2.0, temperature=2.0)["ranking"][0]["score"] == pytest.approx(0.7310586)


def test_top_k_keeps_the_best_documents_and_logits_keep_the_given_order() -> None:
    answer = rank(0.0, 2.0, -1.0, top_k=2, return_logits=True)
    assert places(answer) == [1, 0]
    assert answer["logits"] == [0.0, 2.0, -1.0]


def test_inputs_of_one_request_do_not_mix() -> None:
    kind = kind_of(task("ranking", pair="cross_encoder"))
    first, second = RankingInput(query="q", documents=("a", "b")), RankingInput(query="q", documents=("c",))
    answers = kind.decoder.answers(readings_of((first, [[0.0], [1.0]]), (second, [[5.0]])), AnswerOptions())
    assert [places(each) for each in answers] == [[1, 0], [0]]
