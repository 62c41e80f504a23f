from loadtests.peers.measuring import ROWS as PEER_ROWS
from loadtests.rows import ROWS as BENCH_ROWS
from loadtests.targets import PLANNED


def test_every_row_of_the_protocol_has_a_target() -> None:
    assert {name.partition("/")[0] for name in PLANNED} == {f"B{number}" for number in range(1, 16)}


def test_every_row_is_measured_by_the_command_that_it_names() -> None:
    for name, planned in PLANNED.items():
        row = planned.command.rpartition(" ")[2]
        if planned.command.startswith("python -m loadtests.bench"):
            assert row in BENCH_ROWS
        else:
            assert row in PEER_ROWS or name.startswith("B4/")
