# SPDX-License-Identifier: PostgreSQL
"""The table limits.txt: what was measured, and what may not be exceeded."""

from __future__ import annotations

import datetime
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "limits.txt"
# By the last part of a name: how far above what was measured the limit stands. Instructions
# repeat within 2 % on a machine with other work; where few are counted, what the daemon does each
# second shows more. Of calls one more is a regression, and a stray one is not.
MARGINS = {"instructions": 1.08, "bytes": 1.02, "wal": 1.02}
FEW = 1.08
IN_POSTGRES = ("write.", "read.")
WRITING = 1.02  # nothing else runs in that process
ROOM = {"waits": 0.5, "turns": 0.75, "sends": 0.01, "statements": 0.3, "wal": 4}
# Another compiler or library makes other instructions of the same source.
ELSEWHERE = 1.3


@dataclass
class Limit:
    name: str
    measured: float
    limit: float
    date: str
    words: str


def kind(name: str) -> str:
    return name.rpartition(".")[2]


def _version(*command: str) -> str:
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "?"
    found = re.search(r"\d+(\.\d+)*", text)
    return found[0] if found else "?"


def tools(postgres: str) -> dict[str, str]:
    """What instruction counts depend on."""
    libraries = {m: _version("pkg-config", "--modversion", m)
                 for m in ("libmicrohttpd", "json-c", "libpq")}
    libraries["libpq"] = libraries["libpq"].split(".")[0]
    return {
        "machine": platform.machine(),
        "gcc": _version("gcc", "-dumpversion"),
        "libc": "-".join(platform.libc_ver()),
        **libraries,
        "postgres": postgres,
    }


def read() -> tuple[dict[str, str], dict[str, Limit]]:
    """(the tools they were measured with, the limits by name)"""
    with_tools: dict[str, str] = {}
    limits: dict[str, Limit] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("tools:"):
            with_tools = dict(pair.split("=", 1) for pair in line.split()[1:])
        elif line and not line.startswith("#"):
            name, measured, limit, date, words = line.split(None, 4)
            limits[name] = Limit(name, float(measured), float(limit), date, words)
    return with_tools, limits


def number(n: float) -> str:
    return f"{n:.0f}" if n >= 1000 else f"{n:.4g}"


def write(now: dict[str, str], limits: list[Limit]) -> None:
    head = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    head.append("tools: " + " ".join(f"{k}={v}" for k, v in now.items()))
    rows = [f"{i.name:32} {number(i.measured):>9} {number(i.limit):>9}  {i.date}  {i.words}"
            for i in limits]
    FILE.write_text("\n".join(head + rows) + "\n", encoding="utf-8")


def fresh(name: str, measured: float, words: str) -> Limit:
    room = ROOM.get(kind(name), 0.0)
    if kind(name) == "allocations":  # of a delivery, or of a whole event or connect
        room = 0.05 if measured < 1 else 0.75
    margin = MARGINS.get(kind(name), 1)
    if kind(name) == "instructions" and name.startswith(("targeted.", "connect.")):
        margin = FEW
    elif name.startswith(IN_POSTGRES):
        margin = min(margin, WRITING)
    limit = max(measured, 0) * margin + room
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return Limit(name, measured, limit, today, words)


def foreign(name: str, then: dict[str, str], now: dict[str, str]) -> str:
    """Why the limit of that name was not made for here; empty when it was."""
    which = ["machine", "postgres"] if name.startswith(IN_POSTGRES) else [k for k in then if k != "postgres"]
    if kind(name) not in ("instructions", "bytes", "wal"):
        return ""
    return ", ".join(f"{k} {now.get(k)} instead of {then.get(k)}" for k in which
                     if now.get(k) != then.get(k))
