import subprocess
from collections.abc import Iterator

import psutil
import pytest

from loadtests.peers.peer import Ours
from loadtests.peers.sides import Side, freeze, thaw
from loadtests.server import Server


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    started = subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True)
    try:
        yield psutil.Process(started.pid)
    finally:
        for each in [*psutil.Process(started.pid).children(recursive=True), started]:
            each.kill()
        started.wait()


def side_of(process: psutil.Process, *, is_frozen: bool) -> Side:
    server = Server(port=1, pid=process.pid, ready_s=0.0)
    return Side(title="s", asking=Ours(task="t"), server=server, is_frozen=is_frozen)


def stands_still(process: psutil.Process) -> bool:
    family = [process, *process.children(recursive=True)]
    states = {each.status() == psutil.STATUS_STOPPED for each in family}
    assert len(states) == 1, "all of them or none"
    return states.pop()


def test_a_frozen_side_runs_only_while_it_is_awake(process: psutil.Process) -> None:
    side = side_of(process, is_frozen=True)
    freeze(side.server)
    assert stands_still(process)
    with side.awake():
        assert not stands_still(process)
    assert stands_still(process)
    thaw(side.server)
    assert not stands_still(process)


def test_a_side_that_is_not_frozen_is_left_alone(process: psutil.Process) -> None:
    with side_of(process, is_frozen=False).awake():
        assert not stands_still(process)
    assert not stands_still(process)
