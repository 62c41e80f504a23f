"""What a server and everything it started uses: CPU and memory."""

import contextlib
import re
import time
from pathlib import Path

import psutil

from loadtests.server import Server, family_of

PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def cpu_s(server: Server) -> float:
    """CPU seconds so far, user and system, of all its processes."""
    total = 0.0
    for process in family_of(server.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def pss_mib(server: Server) -> float:
    """Proportional set size of all its processes in MiB: a page that several have counts in parts."""
    total_kib = 0
    for process in family_of(server.pid):
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
            total_kib += sum(map(int, PSS.findall(rollup)))
    return total_kib / 1024


def idle_cores(server: Server, *, seconds: float) -> float:
    """Cores that it keeps busy while nobody asks."""
    before, started_s = cpu_s(server), time.perf_counter()
    time.sleep(seconds)
    return (cpu_s(server) - before) / (time.perf_counter() - started_s)
