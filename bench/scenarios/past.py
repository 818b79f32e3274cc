# SPDX-License-Identifier: PostgreSQL
"""Clients that come back: a few from far behind, and all at once after a restart."""

from __future__ import annotations

from typing import Any

from bench.lib import machine
from bench.lib.bench import Bench
from bench.lib.table import Table

from .idle import settle


def resume(b: Bench) -> list[Table]:
    """Clients that come back far behind."""
    table = Table(
        "Resume: clients that come back",
        ["events behind", "from", "clients", "events/s", "daemon, µs of CPU per event",
         "all there after, s"],
    )
    for source, server, behind, clients in (
            ("ring", "", 20000, 1), ("ring", "", 20000, 20),
            ("journal", "ring_events = 100", 20000, 1), ("journal", "ring_events = 100", 20000, 10),
            ("journal", "", 100000, 1), ("journal", "", 100000, 10)):
        speed: list[float] = []
        cost: list[float] = []
        took: list[float] = []
        # With the defaults a page of 100,000 is not waited for by anybody else: a route's queue is.
        with b.daemon(server=server) as ours:
            for _ in range(b.rounds):
                with b.load(ours, clients, consecutive=True) as load:
                    ours.broadcast(load, 1, 1, 1)
                    load.ask("drop")
                    # a few less: the ring has room for the one above and for those still to be cut
                    b.postgres.run(ours.write(behind - 10, 10, 0, 0))
                    settle(ours)
                    load.ask("zero")
                    cpu = ours.cpu()
                    load.ask("connect")
                    n = clients * (behind - 10)
                    report = load.wait(n, 60)
                    cpu = ours.cpu() - cpu
                    b.check(f"resume from the {source}, {behind:,} behind", report, n)
                    speed.append(n / report["events_s"] if report["events_s"] else 0)
                    cost.append(cpu / n * 1e6)
                    took.append(report["events_s"])
        table.add(f"{behind:,}", source, clients, speed, cost, took)
        if clients == 1:
            b.against(f"resume of a client {behind:,} behind, from the {source}", 100000, speed, "events/s",
                      at_least=True)
    return [table]


def storm(b: Bench) -> list[Table]:
    """Everybody comes back after a restart, each having missed as many events."""
    missed = 1000
    table = Table(
        f"Reconnect storm: {b.streams:,} streams, the daemon restarted, {missed:,} events missed by each",
        ["stop", "all connected after, s", "all events there after, s", "events/s",
         "daemon, µs of CPU per event", "daemon's memory at most, MB", "afterwards, MB"],
    )
    for name, how in (("SIGTERM", "stop"), ("SIGKILL", "kill")):
        cells: dict[str, list[float]] = {}
        for _ in range(b.rounds if how == "kill" else 1):
            with b.daemon() as ours, b.load(ours, b.streams, consecutive=True, in_flight=256) as load:
                ours.broadcast(load, 1, 1, 1)
                ours.halt(how)
                load.ask("gone 20000")
                b.postgres.run(ours.write(missed, 10, 0, 0))
                ours.start_again()
                load.ask("zero")
                n = missed * b.streams
                report = _come_back(load, n)
                b.check(f"storm after {name}", report, n)
                for key, value in {
                    "up": report["connect_s"], "took": report["events_s"],
                    "speed": n / max(report["events_s"], 1e-9), "cost": ours.cpu() / n * 1e6,
                    "peak": machine.peak_kb(ours.pid) / 1024, "after": ours.private_kb() / 1024,
                }.items():
                    cells.setdefault(key, []).append(value)
        table.add(name, *cells.values())
    table.notes.append(
        "All connect as fast as they can, 256 at a time, with their Last-Event-ID; the new daemon's ring "
        "is empty, so all is read from the journal. CPU includes start and token look-ups."
    )
    return [table]


def _come_back(load: Any, n: int) -> dict[str, Any]:
    load.ask("connect")
    return dict(load.wait(n, 120))
