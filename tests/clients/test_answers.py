"""Every kind of answer that the service documents is decoded, field by field."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest

import encodeonce_client
from encodeonce_client.answers import decode_answer
from service.kinds.answers import Answer
from tests.service.http.test_app import serving
from tests.service.http.test_predict_kinds import ANSWER_KEYS, INPUTS
from tests.support.service_fakes import tasks_of_every_kind


@pytest.mark.parametrize("kind", get_args(Answer), ids=lambda kind: kind.__name__)
def test_the_clients_answers_have_the_services_fields(kind: type) -> None:
    mine = getattr(encodeonce_client, kind.__name__)
    assert {field.name for field in fields(mine)} == set(get_type_hints(kind))


async def test_answers_of_every_kind_are_decoded() -> None:
    body = {"inputs": INPUTS, "return_logits": True, "top_k": 2}
    async with serving(tasks=tasks_of_every_kind(), max_text_chars=1000) as (client, _):
        predictions = (await client.post("/v1/predict", json=body)).json()["predictions"]
    raw: dict[str, Any] = {task: answer for each in predictions for task, answer in each.items()}
    assert raw.keys() == ANSWER_KEYS.keys()
    for answer in raw.values():
        assert_same(decode_answer(answer), answer)


def assert_same(decoded: Any, raw: Any) -> None:
    """What was decoded holds what was sent."""
    if isinstance(raw, list):
        assert isinstance(decoded, tuple), decoded
        for mine, theirs in zip(decoded, raw, strict=True):
            assert_same(mine, theirs)
    elif isinstance(raw, dict) and not isinstance(decoded, Mapping):
        for name, value in raw.items():
            assert_same(getattr(decoded, name), value)
    else:
        assert decoded == raw


def test_fields_of_a_newer_service_are_left_aside_and_other_answers_are_refused() -> None:
    answer = decode_answer({"value": 1.0, "confidence": 0.5})
    assert answer == encodeonce_client.ValueAnswer(value=1.0)
    with pytest.raises(ValueError, match="Expected an answer with one of label, "):
        decode_answer({"sound": "moo"})
