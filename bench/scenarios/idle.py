# SPDX-License-Identifier: PostgreSQL
"""Streams on which nothing happens, and how they come up."""

from __future__ import annotations

import time
from typing import Any

from bench.lib import machine
from bench.lib.bench import LIMIT, OURS, Bench
from bench.lib.table import Table


def _state(server: Any) -> tuple[int, int, int]:
    time.sleep(1)
    return server.private_kb(), machine.slab_kb(), machine.socket_pages_kb()


def grow(b: Bench, server: Any, streams: int, then: Any = None, **more: Any) -> list[float]:
    """What each of the second half of the streams takes: process, slab, TCP pages, in KB."""
    half = streams // 2
    with b.load(server, half, **more):
        before = _state(server)
        with b.load(server, streams - half, "foreman", **more):
            after = _state(server)
            if then:
                then(server)
    return [(y - x) / (streams - half) for x, y in zip(before, after)]


def memory(b: Bench) -> list[Table]:
    """What one more idle stream takes."""
    table = Table(
        "Memory per idle authenticated stream, and what idling costs",
        ["server", "streams", "server's own, KB", "kernel slab, both ends, KB", "TCP buffers, KB",
         "idle CPU of a core, %"],
    )
    idle: list[float] = []
    cells: dict[str, list[list[float]]] = {}
    streams: dict[str, int] = {OURS: b.streams, LIMIT: b.streams}

    def idle_cpu(server: Any) -> None:
        cpu = server.cpu()
        time.sleep(30)
        idle.append((server.cpu() - cpu) / 30 * 100)

    def keep(label: str, values: list[float]) -> None:
        for cell, value in zip(cells.setdefault(label, [[], [], []]), values):
            cell.append(value)

    for _ in range(b.rounds):
        with b.daemon(database="", route="") as ours:
            keep(OURS, grow(b, ours, b.streams, idle_cpu if len(idle) < 3 else None))
        with b.limit(350) as limit:
            keep(LIMIT, grow(b, limit, b.streams))
    for peer in b.peers:
        try:
            for _ in range(min(b.rounds, 2)):
                with b.peer(peer) as server:
                    streams[peer.label] = min(b.streams, peer.most)
                    keep(peer.label, grow(b, server, streams[peer.label]))
        except (RuntimeError, OSError) as error:
            b.remark(peer.label, f"memory not measured: {error}")
    for label, values in cells.items():
        n = streams[label]
        table.add(label, f"{n // 2:,} → {n:,}", *values, idle if label == OURS else [])
        b.note(label, "memory per idle stream, KB", values[0])
    b.against("memory per idle authenticated stream", 1, cells[OURS][0], "KB")
    table.notes.append(
        "Growth of the processes' private memory between the two numbers of streams; with pgherald "
        "every stream is another user whose token was looked up. Idle CPU with the default settings: a "
        "keep-alive and a look-up of its token per stream each 30 s."
    )
    return [table]


def settle(server: Any, quiet_s: float = 0.3) -> None:
    """Until it has nothing to do."""
    for _ in range(100):
        cpu = server.cpu()
        time.sleep(quiet_s)
        if server.cpu() - cpu < 0.02 * quiet_s:
            return


def connect(b: Bench) -> list[Table]:
    """Streams opened with tokens that the database knows."""
    table = Table(
        "Connects with a token looked up in the database",
        ["streams", "under way at once", "connects/s", "daemon, µs of CPU each",
         "connects/s and core of the daemon", "PostgreSQL, µs each", "opening p50, ms", "p99, ms"],
    )
    n = min(b.streams, 10000)
    for in_flight in (16, 256):
        rows: list[list[float]] = [[] for _ in range(6)]
        for _ in range(b.rounds):
            with b.daemon() as ours, b.load(ours, n, connect=False, in_flight=in_flight) as load:
                with b.load(ours, n):  # warm: PostgreSQL's caches, the daemon's heap
                    pass
                settle(ours)
                cpu, database = ours.cpu(), b.postgres.cpu()
                report = load.connect()
                cpu, database = ours.cpu() - cpu, b.postgres.cpu() - database
                b.check("connect", report, 0)
                for cell, value in zip(rows, (
                        n / report["connect_s"], cpu / n * 1e6, n / cpu, database / n * 1e6,
                        report["opening_us"]["p50"] / 1000, report["opening_us"]["p99"] / 1000)):
                    cell.append(value)
        table.add(f"{n:,}", in_flight, *rows)
        b.against(f"authenticated connects, {in_flight} under way", 10000, rows[2], "a second and core",
                  at_least=True)
    table.notes.append(
        "Every stream another user, after as many others have come and gone. The daemon logs every "
        "connect."
    )
    return [table]
