# SPDX-License-Identifier: PostgreSQL
"""What is measured. Each scenario takes a Bench and returns tables; bench/README.md says what each
one means."""

from __future__ import annotations

from collections.abc import Callable

from bench.lib.bench import Bench
from bench.lib.table import Table

from .fanout import broadcast, mix, targeted
from .growth import growth
from .idle import connect, memory
from .past import resume, storm
from .transports import transports
from .writes import bulk, latency, stuck

SCENARIOS: dict[str, Callable[[Bench], list[Table]]] = {
    f.__name__: f
    # those with peers first: where time runs short, later ones get less
    for f in (broadcast, targeted, growth, memory, transports, latency, stuck, mix, connect, resume, storm, bulk)
}
