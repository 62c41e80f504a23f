"""How many cores this process may really use: in a container, often fewer than the machine has."""

import math
import os
from pathlib import Path

CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""cgroup v2: ``QUOTA PERIOD`` in microseconds, or ``max PERIOD``."""


def usable_cpus(cpu_max: Path = CGROUP_CPU_MAX) -> int:
    """Cores by affinity and by the container's quota, whichever is less; at least one.

    Threads beyond the quota do not add speed: the kernel stops them all once the period's share is used up.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, _quota(cpu_max) or affinity))


def _quota(cpu_max: Path) -> int | None:
    try:
        quota, period = cpu_max.read_text(encoding="ascii").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no cgroup v2, or no limit: "max 100000"
        return None
