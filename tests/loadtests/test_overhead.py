import json
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from loadtests.errors import LoadTestError
from loadtests.overhead import collector, parse_p50_s

READ_COUNTS = """
from loadtests.unmetered import EncodeOnce
from prometheus_client import generate_latest
from service.encoding import BatchSize
from service.lanes import Crew
from service.metrics import Metrics

metrics = Metrics()
metrics.saw_batch(BatchSize(rows=1, row_len=8, sequences=1, tokens=5, seconds=0.1, crew=Crew.ALL))
print(generate_latest(metrics.registry).decode())
"""


def output(**changes: Any) -> str:
    result = {"p50_us": 4500, "requests": 900, "failed": 0, "exhausted": 0, "broken": 0} | changes
    return f'Running 4s test\nRESULT {json.dumps(result)}\nFAILURE {{"title": "Overloaded"}}\n'


def test_the_median_is_read_in_seconds() -> None:
    assert parse_p50_s(output(), "") == 0.0045


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"failed": 3}, "3 requests were refused.*Overloaded"),
        ({"broken": 1}, "1 conn"),
        ({"exhausted": 1}, "few"),
    ],
)
def test_a_window_that_means_nothing_is_no_result(fault: dict[str, int], words: str) -> None:
    with pytest.raises(LoadTestError, match=words):
        parse_p50_s(output(**fault), "")


def test_a_program_that_fails_is_shown() -> None:
    with pytest.raises(LoadTestError, match="unable to connect"):
        parse_p50_s("", "unable to connect")


def test_the_collector_takes_every_batch() -> None:
    with collector() as address:
        for _ in range(2):
            request = urllib.request.Request(f"{address}/v1/traces", data=b"spans", method="POST")
            with urllib.request.urlopen(request) as response:
                assert (response.status, response.read()) == (200, b"")


def test_the_unmetered_service_counts_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", READ_COUNTS], capture_output=True, check=True, text=True)
    assert "encodeonce_batch_rows_count 0.0" in done.stdout
