"""How many processors this process may use: those of the machine, as far as affinity and the container's limit go."""

import math
import os
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/cpu.max")
_QUOTA_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
_PERIOD_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def count_processors() -> int:
    """Return the number of processors, at least one; a limit on CPU time counts as the next whole number of them.

    Source: Linux, control groups v2 (``cpu.max``: quota and period) and v1 (``cpu.cfs_quota_us``).
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(usable, _read_limit())))


def _read_limit() -> float:
    """Return how many processors' time the control group has; infinity where it has no limit."""
    try:
        if _LIMIT.exists():
            quota, period = _LIMIT.read_text(encoding="ascii").split()
        else:
            quota, period = _QUOTA_V1.read_text(encoding="ascii"), _PERIOD_V1.read_text(encoding="ascii")
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # there is no limit, or quota is "max"
        return math.inf
