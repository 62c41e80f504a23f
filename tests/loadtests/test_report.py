import datetime as dt
from typing import Any

import pytest

from loadtests.ratios import Spread
from loadtests.report import Circumstances, RowResult, Target, look_around, markdown


def row(value: float = 0.84, **changes: Any) -> RowResult:
    fields: dict[str, Any] = {
        "id": "B1",
        "what": "bulk ÷ bare loop",
        "value": value,
        "spread": Spread(values=(0.80, 0.85, 0.90)),
        "target": Target(bound=0.8),
        "detail": "84 ÷ 100",
    }
    return RowResult(**fields | changes)


def circumstances(**changes: Any) -> Circumstances:
    fields: dict[str, Any] = {
        "cpu": "Some CPU",
        "cores": 2,
        "threads": 2,
        "commit": "abc1234",
        "command": "python -m loadtests.bench B1",
        "started": dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC),
        "load": 0.1,
        "settings": {},
    }
    return Circumstances(**fields | changes)


def test_a_row_shows_result_spread_target_and_verdict() -> None:
    assert "| B1 | bulk ÷ bare loop | **0.84** | 0.80, 0.85, 0.90 (3) | ≥ 0.8 | yes | 84 ÷ 100 |" in markdown(
        [row()], circumstances(), []
    )


def test_a_missed_target_stands_out() -> None:
    assert "| **no** |" in markdown([row(0.79)], circumstances(), [])


def test_an_upper_bound_is_met_from_below_and_carries_its_unit() -> None:
    target = Target(bound=6, is_upper=True, unit=" s")
    assert target.is_met(6.0)
    assert not target.is_met(6.1)
    report = markdown([row(5.5, target=target, id="B13")], circumstances(), [])
    assert "| **5.50 s** | 0.80, 0.85, 0.90 (3) | ≤ 6 s | yes |" in report


def test_hardware_commit_date_command_and_notes_stand_beside_the_table() -> None:
    report = markdown([row()], circumstances(), ["a note"])
    for part in (
        "Some CPU, 2 cores",
        "abc1234",
        "2026-11-21 12:00 UTC",
        "`python -m loadtests.bench B1`",
        "- a note",
    ):
        assert part in report


def test_settings_from_the_environment_are_named() -> None:
    report = markdown([row()], circumstances(settings={"ENCODEONCE_ROW_LEN": "64"}), [])
    assert "`ENCODEONCE_ROW_LEN=64`" in report


@pytest.mark.parametrize(("load", "is_busy"), [(0.1, False), (4.0, True)])
def test_figures_from_a_busy_machine_are_marked(load: float, is_busy: bool) -> None:
    assert ("busy machine" in markdown([row()], circumstances(load=load), [])) == is_busy


def test_the_circumstances_of_this_process_are_found() -> None:
    found = look_around("a command", threads=1)
    assert found.cpu
    assert found.cores >= 1
    assert found.commit
