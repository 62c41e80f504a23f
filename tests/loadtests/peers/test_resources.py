import os
import subprocess
import sys

from loadtests.peers.resources import cpu_s, pss_mib
from loadtests.server import Server, family_of

OURSELVES = Server(port=0, pid=os.getpid(), ready_s=0)


def test_a_server_uses_what_its_children_use() -> None:
    before = pss_mib(OURSELVES)
    code = "data = bytearray(b'x') * 60_000_000; print('ready', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert child.pid in {process.pid for process in family_of(os.getpid())}
        assert pss_mib(OURSELVES) - before > 50
        child.communicate("\n")


def test_cpu_time_only_grows() -> None:
    before = cpu_s(OURSELVES)
    sum(range(3_000_000))
    assert cpu_s(OURSELVES) > before
