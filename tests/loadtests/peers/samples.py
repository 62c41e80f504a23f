"""Results as a measurement leaves them."""

import datetime as dt

from loadtests.peers.rounds import CONCURRENCIES
from loadtests.peers.survey import Survey
from loadtests.ratios import Spread
from loadtests.report import Circumstances, RowResult
from loadtests.results import Measured
from loadtests.targets import PLANNED

CALM = Circumstances(
    cpu="AMD EPYC",
    cores=2,
    threads=2,
    commit="abc1234",
    command="python -m loadtests.peers measure",
    started=dt.datetime(2026, 11, 26, 4, 40, tzinfo=dt.UTC),
    load=0.2,
    settings={},
)


def survey_of(
    name: str, *, ours: float = 200.0, theirs: float = 100.0, fault: str | None = None, load: float = 0.1
) -> Survey:
    """A peer with the same rates at every concurrency."""
    rates = {level: ([ours, 1.1 * ours], [theirs, 1.1 * theirs]) for level in CONCURRENCIES}
    return Survey(
        peer=name,
        title=f"Peer {name}",
        at="2026-11-26T04:40+00:00",
        load=load,
        fault=fault,
        worst_score=2e-7,
        ready_s=12.0,
        idle_cores=0.01,
        pss_mib=700.0,
        our_pss_mib=300.0,
        rates={} if fault else rates,
    )


def measured(name: str, value: float, *, circumstances: Circumstances = CALM) -> Measured:
    """A row of the table of targets with this figure."""
    row = RowResult(
        id=name,
        what=PLANNED[name].what,
        value=value,
        spread=Spread(values=(0.9 * value, value)),
        target=PLANNED[name].target,
        detail="100 texts/s ÷ 50 texts/s (peer)",
    )
    return Measured(row=row, circumstances=circumstances)
