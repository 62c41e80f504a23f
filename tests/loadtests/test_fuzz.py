"""A few hundred broken requests against the running service; the judge sees what must not be."""

from urllib.parse import urlsplit

import pytest

from loadtests.fuzz.case import Case
from loadtests.fuzz.judge import Reply, fault_of
from loadtests.fuzz.run import fuzz

DOCUMENT = {"paths": {"/x": {"post": {"responses": {"200": {}, "422": {}}}}}}
CASE = Case(kind="", method="POST", target="/x", route="/x")
PROBLEM = b'{"status": 422, "detail": "No."}'


@pytest.mark.integration
def test_no_broken_request_is_a_fault_of_the_service(tiny_service: str) -> None:
    port = urlsplit(tiny_service).port
    assert port is not None
    outcome = fuzz(port, cases=400, seed=20261126)
    assert outcome.faults == []
    assert {200, 400, 404, 405, 415, 422} <= outcome.statuses.keys()


@pytest.mark.parametrize(
    "reply",
    [
        None,
        Reply(status=500, content_type="application/problem+json", body=PROBLEM),
        Reply(status=409, content_type="application/problem+json", body=b'{"status": 409, "detail": "No."}'),
        Reply(status=422, content_type="text/plain", body=b"No."),
        Reply(status=422, content_type="application/problem+json", body=b'{"status": 400, "detail": "No."}'),
        Reply(status=200, content_type="application/json", body=b'{"score": NaN}'),
        Reply(status=200, content_type="application/json", body=b""),
        Reply(status=200, content_type="application/x-ndjson", body=b'{"line": 1}\n'),
    ],
)
def test_the_judge_sees_a_fault(reply: Reply | None) -> None:
    assert fault_of(CASE, reply, DOCUMENT) is not None


def test_the_judge_lets_documented_answers_pass() -> None:
    for reply in (
        Reply(status=200, content_type="application/json", body=b"{}"),
        Reply(status=422, content_type="application/problem+json", body=PROBLEM),
    ):
        assert fault_of(CASE, reply, DOCUMENT) is None
    broken = CASE.but("", is_framed=False)
    assert fault_of(broken, None, DOCUMENT) is None
    assert fault_of(broken, Reply(status=500, content_type="", body=b""), DOCUMENT) is not None
