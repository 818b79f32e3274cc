# SPDX-License-Identifier: PostgreSQL
"""Allocations, counted by allocations.c in the daemon."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "allocations.c"


class Heap:
    def __init__(self, directory: Path) -> None:
        library, self.counts = directory / "allocations.so", directory / "counts"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
        self.counts.write_bytes(bytes(16))
        self.counts.chmod(0o666)
        self.wrap = ["env", f"LD_PRELOAD={library}", f"GUARD_COUNTS={self.counts}"]
        self.last = 0

    def allocations(self) -> int:
        """Since the last call."""
        before, self.last = self.last, struct.unpack("Qq", self.counts.read_bytes())[0]
        return self.last - before

    def bytes(self) -> int:
        """In use now."""
        return int(struct.unpack("Qq", self.counts.read_bytes())[1])
