"""CPU time and memory of a process, from /proc (Linux): with its threads, without child processes."""

import os
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time since the process began, to 10 ms (proc(5), fields 14 and 15 of `stat`)."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_SECOND


def memory_kib(pid: int) -> int:
    """Proportional set size in KiB: resident pages, shared ones by their share (proc(5), `smaps_rollup`)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError("smaps_rollup has no Pss")
