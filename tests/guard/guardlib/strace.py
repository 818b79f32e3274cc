# SPDX-License-Identifier: PostgreSQL
"""System calls, as strace writes them down."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

# What a daemon at work may call. A sleep, a lookup, a file: whatever is new here needs a reason.
KNOWN = {"epoll_wait", "epoll_pwait", "recvfrom", "sendto", "sendmsg", "read", "write",
         "poll", "ppoll", "getrandom", "brk", "mmap", "munmap", "madvise", "mprotect"}
WAITS = {"epoll_wait", "epoll_pwait", "poll", "ppoll"}
SENDS = {"sendto", "sendmsg", "write", "writev"}

_LINE = re.compile(r"^(\d+) +(<\.\.\. )?(\w+)(?:\(| resumed)")


@dataclass
class Calls:
    """What one thread did, in a window."""

    names: Counter[str] = field(default_factory=Counter)
    timeouts: int = 0

    def of(self, names: set[str]) -> int:
        return sum(n for name, n in self.names.items() if name in names)

    def unknown(self) -> Counter[str]:
        return Counter({name: n for name, n in self.names.items() if name not in KNOWN})


class Strace:
    """A daemon under strace; count() is (database thread, worker) since the last call."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "strace.out"
        self.wrap = ["strace", "-D", "-f", "-qq", "-s", "0", "-e", "signal=none", "-o", str(self.out)]
        self.offset = 0
        self.main = ""
        self.began = time.monotonic()
        self.seconds = 0.0  # of the last window

    def count(self) -> tuple[Calls, Calls]:
        threads: dict[bool, Calls] = {True: Calls(), False: Calls()}
        with self.out.open("rb") as f:
            f.seek(self.offset)
            text = f.read()
        self.seconds, self.began = time.monotonic() - self.began, time.monotonic()
        text = text[: text.rfind(b"\n") + 1]
        self.offset += len(text)
        for line in text.decode(errors="replace").splitlines():
            found = _LINE.match(line)
            if not found:
                continue
            tid, resumed, name = found.groups()
            self.main = self.main or tid
            calls = threads[tid == self.main]
            if name == "futex":  # two threads meet by chance; only one with a limit of time counts
                name = "futex with a timeout" if "tv_sec" in line else ""
            if name and not resumed:
                calls.names[name] += 1
            if name in WAITS and line.endswith(" = 0"):
                calls.timeouts += 1
        return threads[True], threads[False]
