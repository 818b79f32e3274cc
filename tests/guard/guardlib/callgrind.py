# SPDX-License-Identifier: PostgreSQL
"""Instructions, counted by callgrind."""

from __future__ import annotations

import urllib.request
from pathlib import Path

WAIT_S = 20


def command(out: Path) -> list[str]:
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--log-file={out}.log"]


def total(dump: Path) -> int:
    """Of one dump."""
    for line in dump.read_text(errors="replace").splitlines():
        if line.startswith(("summary:", "totals:")):
            return int(line.split()[1])
    raise RuntimeError(f"{dump} has no sum")


class Callgrind:
    """A daemon under callgrind; count() is what all its threads did since the last call. It dumps
    whenever it is asked GET /readyz; what the question costs itself is taken away again."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "callgrind.out"
        self.wrap = [*command(self.out), "--dump-before=admin_readyz"]
        self.port = 0
        self.nothing = 0

    def watch(self, port: int) -> None:
        self.port = port
        self._dump()
        self.nothing = self._dump()

    def count(self) -> int:
        return self._dump() - self.nothing

    def _dump(self) -> int:
        for old in self.out.parent.glob(f"{self.out.name}.[0-9]*"):
            old.unlink()
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=WAIT_S).read()
        dumps = list(self.out.parent.glob(f"{self.out.name}.[0-9]*"))
        if len(dumps) != 1:
            raise RuntimeError("callgrind has not dumped: has the program its symbols?")
        return total(dumps[0])
