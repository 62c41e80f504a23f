from typing import Any

import pytest
from pydantic import ValidationError

from service.inputs import (
    FIELDS,
    ChoiceInput,
    PairInput,
    QuestionInput,
    RankingInput,
    TaskInput,
    TokensInput,
    count_sequences,
    named_texts,
)
from service.kinds.registry import kind_of
from service.schemas import EmbeddingsRequest, PredictRequest, TaskInfo, parse_input
from tests.support.service_fakes import task, tasks_of_every_kind

FORMS: list[tuple[Any, TaskInput]] = [
    ("a", "a"),
    ({"text": "a"}, "a"),
    ({"text": "a", "text_pair": "b"}, PairInput(text="a", text_pair="b")),
    ({"query": "a", "documents": ["b"]}, RankingInput(query="a", documents=("b",))),
    ({"question": "a", "context": "b"}, QuestionInput(question="a", context="b")),
    ({"question": "a", "choices": ["b", "c"]}, ChoiceInput(question="a", choices=("b", "c"))),
    ({"context": "a", "choices": ["b", "c"]}, ChoiceInput(context="a", choices=("b", "c"))),
    (
        {"choices": ["b", "c"], "context": "a", "question": "d"},
        ChoiceInput(context="a", question="d", choices=("b", "c")),
    ),
    ({"tokens": ["a", "b c"]}, TokensInput(tokens=("a", "b c"))),
]


@pytest.mark.parametrize(("given", "expected"), FORMS)
def test_the_fields_of_an_input_tell_its_form(given: Any, expected: TaskInput) -> None:
    assert parse_input(given) == expected


def test_forms_mix_in_one_request() -> None:
    request = PredictRequest(inputs=[given for given, _ in FORMS])
    assert request.inputs == [expected for _, expected in FORMS]
    assert request.tasks is None


def test_every_form_is_taken_by_some_kind() -> None:
    taken = {form for entry in tasks_of_every_kind().values() for form in kind_of(entry).reader.takes}
    assert taken == FIELDS.keys()


def test_documents_and_choices_count_one_by_one() -> None:
    assert [count_sequences(each) for _, each in FORMS] == [1, 1, 1, 1, 1, 2, 2, 2, 1]
    assert count_sequences(RankingInput(query="q", documents=("a", "b", "c"))) == 3


def test_every_text_of_an_input_has_a_path() -> None:
    assert list(named_texts("a")) == [("text", "a")]
    assert dict(named_texts(ChoiceInput(question="a", choices=("b", "c")))) == {
        "choices.0": "b", "choices.1": "c", "question": "a"
    }  # fmt: skip
    assert dict(named_texts(TokensInput(tokens=("a", "b")))) == {
        "tokens.0": "a", "tokens.1": "b", "tokens": "a b"
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": []},
        {},
        {"inputs": ["a"], "tasks": []},
        {"inputs": ["a"], "task": "b"},
        {"inputs": ["a"], "top_k": 0},
        {"inputs": ["a"], "top_k": 1025},
        {"inputs": ["a"], "top_k": "3"},
        {"inputs": ["a"], "top_k": True},
        {"inputs": ["a"], "return_scores": "no"},
        {"inputs": [{"choices": ["a", "b"], "context": None, "question": None}]},
    ],
)
def test_a_faulty_body_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PredictRequest.model_validate(body)


@pytest.mark.parametrize("given", [[1, 2], [[1]], [[1, 2], [3]]])
def test_token_ids_are_refused_for_embeddings_and_told_why(given: Any) -> None:
    with pytest.raises(ValidationError, match="Token ids are not taken"):
        EmbeddingsRequest(input=given)


def test_dimensions_are_refused_for_embeddings_and_told_why() -> None:
    with pytest.raises(ValidationError, match="cannot be shortened"):
        EmbeddingsRequest.model_validate({"input": "a", "dimensions": 8})


def describe(name: str) -> TaskInfo:
    return TaskInfo.of(name, kind_of(tasks_of_every_kind()[name]), model="m", version="1")


def test_a_task_describes_itself() -> None:
    info = describe("similar")
    assert info.input_fields == ["text", "text_pair"]
    assert info.inputs == [["text", "text_pair"]]
    assert info.pair == "bi_encoder"
    assert info.labels is None
    assert info.options == ["return_logits"]


def test_a_task_tells_what_its_kind_adds() -> None:
    assert describe("topics").thresholds == {"price": 0.5, "size": 0.5, "colour": 0.5}
    tagging = describe("entities")
    assert (tagging.scheme, tagging.pooling) == ("bio", None)
    assert tagging.inputs == [["text"], ["tokens"]]
    assert describe("next_step").inputs == [
        ["context", "choices"], ["question", "choices"], ["context", "question", "choices"]
    ]  # fmt: skip
    spans = describe("answer").spans
    assert spans is not None
    assert spans.max_answer_tokens == 5
    assert describe("intent").options == ["top_k", "return_scores", "return_logits"]
    calibrated = TaskInfo.of("t", kind_of(task(temperature=1.5)), model="m", version="1")
    assert calibrated.temperature == 1.5
