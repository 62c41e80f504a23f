import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from loadtests.peers.peer import Ours
from loadtests.peers.sides import Side, freeze, thaw
from loadtests.server import Server
from tests.support.service_fakes import PATIENCE_S


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    """One that has a child."""
    command = ["sh", "-c", "sleep 60 & echo; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as started:
        assert started.stdout is not None
        started.stdout.readline()  # the child is there
        family = [psutil.Process(started.pid), *psutil.Process(started.pid).children()]
        try:
            yield family[0]
        finally:
            for each in family:
                each.kill()


def side_of(process: psutil.Process, *, is_frozen: bool) -> Side:
    server = Server(port=1, pid=process.pid, ready_s=0.0)
    return Side(title="s", asking=Ours(task="t"), server=server, is_frozen=is_frozen)


def all_are_stopped(process: psutil.Process, stopped: bool) -> bool:
    """Whether it and its child get there: the kernel takes its time to stop a process."""
    family = [process, *process.children()]
    assert len(family) == 2
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if all((each.status() == psutil.STATUS_STOPPED) is stopped for each in family):
            return True
    return False


def test_a_frozen_side_runs_only_while_it_is_awake(process: psutil.Process) -> None:
    side = side_of(process, is_frozen=True)
    freeze(side.server)
    assert all_are_stopped(process, True)
    with side.awake():
        assert all_are_stopped(process, False)
    assert all_are_stopped(process, True)
    thaw(side.server)
    assert all_are_stopped(process, False)


def test_a_side_that_is_not_frozen_is_left_alone(process: psutil.Process) -> None:
    with side_of(process, is_frozen=False).awake():
        assert all_are_stopped(process, False)
    assert all_are_stopped(process, False)
