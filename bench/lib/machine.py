# SPDX-License-Identifier: PostgreSQL
"""What the kernel says about processes and about this machine. Linux only."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:  # the process or thread has just ended
        return ""


def thread_cpu_s(pid: int) -> dict[int, float]:
    """Seconds on a CPU by thread, user and system; in nanoseconds' resolution, unlike stat's."""
    cpu = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        fields = _text(f"/proc/{pid}/task/{tid}/schedstat").split()
        cpu[int(tid)] = int(fields[0]) / 1e9 if fields else 0.0
    return cpu


def cpu_s(pid: int) -> float:
    return sum(thread_cpu_s(pid).values())


def tree_cpu_s(pid: int) -> float:
    """Of a process and its children, the ended ones too (in clock ticks)."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not fields:
        return 0.0
    total = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    for tid in os.listdir(f"/proc/{pid}/task"):
        for child in _text(f"/proc/{pid}/task/{tid}/children").split():
            total += tree_cpu_s(int(child))
    return total


def tree(pid: int) -> list[int]:
    """A process and its living descendants."""
    found = [pid]
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            for child in _text(f"/proc/{pid}/task/{tid}/children").split():
                found += tree(int(child))
    except OSError:  # it has just ended
        pass
    return found


def tree_running_s(pid: int) -> float:
    """Like cpu_s, of a process and its living descendants."""
    return sum(cpu_s(p) for p in tree(pid) if os.path.exists(f"/proc/{p}/task"))


def tree_private_kb(pid: int) -> int:
    return sum(map(private_kb, tree(pid)))


def private_kb(pid: int) -> int:
    """Memory that is this process's alone."""
    return sum(map(int, re.findall(r"^Private_\w+:\s+(\d+)", _text(f"/proc/{pid}/smaps_rollup"), re.M)))


def peak_kb(pid: int) -> int:
    """The most resident memory it ever had."""
    found = re.search(r"^VmHWM:\s+(\d+)", _text(f"/proc/{pid}/status"), re.M)
    return int(found[1]) if found else 0


def slab_kb() -> int:
    """The kernel's small objects: sockets, files, epoll entries of everybody."""
    found = re.search(r"^Slab:\s+(\d+)", _text("/proc/meminfo"), re.M)
    return int(found[1]) if found else 0


def socket_pages_kb() -> int:
    """Buffered bytes of all TCP sockets."""
    found = re.search(r"^TCP:.* mem (\d+)", _text("/proc/net/sockstat"), re.M)
    return int(found[1]) * os.sysconf("SC_PAGESIZE") // 1024 if found else 0


def load() -> float:
    """Running processes, average of the last minute."""
    return float(_text("/proc/loadavg").split()[0])


@functools.cache
def processors() -> list[int]:
    """What we were given at the start: the driver itself moves off the servers' one later."""
    return sorted(os.sched_getaffinity(0))


def describe() -> str:
    model = re.search(r"^model name\s*: (.*)", _text("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", _text("/proc/meminfo"), re.M)
    system = re.search(r'^PRETTY_NAME="(.*)"', _text("/etc/os-release"), re.M)
    virtual = " (virtual)" if " hypervisor" in _text("/proc/cpuinfo") else ""
    return (
        f"{len(processors())} × {model[1] if model else 'unknown processor'}{virtual}, "
        f"{int(memory[1]) // 1048576 if memory else '?'} GB, "
        f"{system[1] if system else 'Linux'}, Linux {os.uname().release}"
    )
