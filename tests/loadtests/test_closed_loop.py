import json
from typing import Any

import pytest

from loadtests import closed_loop
from loadtests.closed_loop import find_wrk, parse_result
from loadtests.errors import LoadTestError


def output(failure: str = "", **changes: Any) -> str:
    counts = {"sent": 900, "answered": 890, "counted": 800}
    result = counts | {"failed": 0, "found": 0, "exhausted": 0, "broken": 0} | changes
    return (
        f"Running 4s test\n  1 threads and 64 connections\nRESULT {json.dumps(result)}\nFAILURE {failure}\n"
    )


def test_the_rate_is_that_of_the_window() -> None:
    run = parse_result(output(), "", window_s=4.0)
    assert (run.texts_per_s, run.sent, run.answered, run.found) == (200.0, 900, 890, 0)


@pytest.mark.parametrize("fault", [{"failed": 3, "failure": '{"title": "Overloaded"}'}, {"broken": 1}])
def test_failed_requests_end_the_measurement(fault: dict[str, Any]) -> None:
    with pytest.raises(LoadTestError, match="refused"):
        parse_result(output(**fault), "", window_s=4.0)


def test_the_answer_of_a_refused_request_is_shown() -> None:
    with pytest.raises(LoadTestError, match="Overloaded"):
        parse_result(output(failed=1, failure='{"title": "Overloaded"}'), "", window_s=4.0)


def test_texts_that_ran_out_end_the_measurement() -> None:
    with pytest.raises(LoadTestError, match="used up its 900 texts"):
        parse_result(output(exhausted=1), "", window_s=4.0)


def test_a_script_that_fails_is_shown() -> None:
    with pytest.raises(LoadTestError, match="unable to connect"):
        parse_result("", "unable to connect", window_s=4.0)


def test_a_missing_wrk_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop.shutil, "which", lambda _: None)
    with pytest.raises(LoadTestError, match="apt-get install wrk"):
        find_wrk()
