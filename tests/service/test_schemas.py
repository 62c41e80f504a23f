import pytest
from pydantic import ValidationError

from service.schemas import EmbeddingsRequest, PredictRequest, TaskInfo, TextInput
from tests.support.service_fakes import default_tasks


def test_a_plain_string_stands_for_a_text() -> None:
    request = PredictRequest.model_validate_json(
        '{"inputs": ["a", {"text": "a"}, {"text": "a", "text_pair": "b"}]}'
    )
    assert request.inputs == [TextInput(text="a"), TextInput(text="a"), TextInput(text="a", text_pair="b")]
    assert request.tasks is None


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"inputs": []}, ("inputs",)),
        ({}, ("inputs",)),
        ({"inputs": [{"txt": "a"}]}, ("inputs", 0, "text")),
        ({"inputs": ["a", 3]}, ("inputs", 1)),
        ({"inputs": ["a"], "tasks": []}, ("tasks",)),
        ({"inputs": ["a"], "task": "b"}, ("task",)),
        ({"inputs": [{"text": "a", "context": "b"}]}, ("inputs", 0, "context")),
    ],
)
def test_a_faulty_body_is_refused_at_its_place(body: dict[str, object], place: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as refusal:
        PredictRequest.model_validate(body)
    assert place in [fault["loc"] for fault in refusal.value.errors()]


def test_token_ids_and_dimensions_are_refused_for_embeddings() -> None:
    for body in ({"input": [1, 2]}, {"input": [[1]]}, {"input": "a", "dimensions": 8}):
        with pytest.raises(ValidationError):
            EmbeddingsRequest.model_validate(body)


def test_a_task_describes_itself() -> None:
    info = TaskInfo.of("similar", default_tasks()["similar"], model="m", version="1")
    assert info.input_fields == ["text", "text_pair"]
    assert info.pair == "bi_encoder"
    assert info.labels is None
