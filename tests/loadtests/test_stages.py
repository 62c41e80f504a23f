from loadtests.stages import HEADER, ROUTE, STAGES, Measured, Sums, parse_sums, table
from service.encoding import BatchSize
from service.engine import StageTimes
from service.lanes import Crew
from service.metrics import Metrics
from service.telemetry.finished import FinishedRequest


def finished(seconds: float, encode_s: float) -> FinishedRequest:
    return FinishedRequest(
        request_id="1",
        method="POST",
        route=ROUTE,
        status=200,
        seconds=seconds,
        times=StageTimes(tokenise=0.001, encode=encode_s),
        tasks=("t",),
        model=("m", "1"),
    )


def scraped(metrics: Metrics) -> Sums:
    from prometheus_client import generate_latest

    return parse_sums(generate_latest(metrics.registry).decode())


def test_the_sums_are_those_of_the_services_own_metrics() -> None:
    metrics = Metrics()
    before = scraped(metrics)
    for number in range(4):
        metrics.saw_request(finished(0.5, 0.25))
        metrics.saw_batch(
            BatchSize(sequences=number, rows=1, row_len=8, tokens=5, seconds=0.1, crew=Crew.LANE)
        )
    since = scraped(metrics) - before
    assert (since.requests, since.request_s, since.batches, since.sequences) == (4, 2.0, 4, 6)
    assert since.stage_s == {"tokenise": 0.004, "queue": 0.0, "encode": 1.0, "head": 0.0}


def test_stages_rest_and_outside_add_up_to_what_a_client_waits() -> None:
    sums = Sums(requests=100, request_s=1.5, stage_s=dict.fromkeys(STAGES, 0.25), batches=0, sequences=0)
    cells = Measured(concurrency=4, texts_per_s=200.0, sums=sums, cpu_s=0.3).cells()
    client, *parts = map(float, cells[2:9])
    assert client == 20.0
    assert sum(parts) == client
    assert parts == [2.5] * 4 + [5.0, 5.0]
    assert cells[-2:] == ["-", "3.00"]
    assert table([]).count("|") == 2 * (len(HEADER) + 1)
