from service.kinds.base import AnswerOptions
from service.kinds.registry import kind_of
from tests.support.service_fakes import task
from tests.support.service_readings import rows_of


def test_a_value_is_the_heads_number_in_any_temperature() -> None:
    decoder = kind_of(task("regression", temperature=3.0)).decoder
    assert decoder.answers(rows_of([[1.5], [2.5]]), AnswerOptions()) == [{"value": 1.5}, {"value": 2.5}]
    assert decoder.answers(rows_of([[1.5]]), AnswerOptions(return_logits=True)) == [
        {"value": 1.5, "logits": [1.5]}
    ]
