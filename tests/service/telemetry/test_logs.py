"""JSON lines, and one for each request that says nothing of its texts."""

import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.logs import FIELDS, JsonFormatter, access_logger, use_json
from tests.service.http.test_app import serving

SECRET = "my secret text"


class Lines(logging.Handler):
    """Keeps what it would have written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def written() -> Iterator[list[str]]:
    """JSON lines of the access log."""
    handler = Lines()
    access_logger.addHandler(handler)
    use_json(access_logger)
    yield handler.lines
    access_logger.removeHandler(handler)


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers()))
def test_any_message_is_one_line_that_reads_back(message: str, fields: dict[str, str | int]) -> None:
    record = logging.LogRecord("bentoml.any", logging.INFO, "", 0, "%s", (message,), None)
    setattr(record, FIELDS, fields)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    read = json.loads(line)
    assert {key: read[key] for key in fields} == fields
    assert fields.get("message", message) == read["message"]


def test_an_exception_is_in_the_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        information = (type(error), error, error.__traceback__)
    record = logging.LogRecord("bentoml.any", logging.ERROR, "", 0, "failed", None, information)
    read = json.loads(JsonFormatter().format(record))
    assert "ValueError: broken" in read["exception"]


async def test_a_request_is_a_line_with_its_stages_and_without_its_texts(
    written: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=access_logger.name)
    async with serving(access_log=True) as (client, _):
        body = {"inputs": [SECRET], "tasks": ["intent"]}
        await client.post("/v1/predict", json=body, headers={"x-request-id": "r-1"})
        await client.get(f"/v1/tasks/{SECRET}")
    answered, unknown = map(json.loads, written)
    assert answered["http.route"] == "/v1/predict"
    assert answered["encodeonce.request_id"] == "r-1"
    assert answered["encodeonce.tasks"] == ["intent"]
    assert (answered["encodeonce.model"], answered["encodeonce.version"]) == ("fake", "1.2.3")
    assert answered["duration_ms"] >= answered["encode_ms"] > 0
    assert (unknown["http.route"], unknown["http.response.status_code"]) == ("/v1/tasks/{task}", 404)
    assert SECRET not in "".join(written)


async def test_without_the_setting_there_is_no_line(
    written: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=access_logger.name)
    async with serving() as (client, _):
        await client.get("/livez")
    assert written == []
