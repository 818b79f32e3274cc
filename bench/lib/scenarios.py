# SPDX-License-Identifier: PostgreSQL
"""What is measured. Each scenario takes a Bench and returns a table; README.md says what each
one means."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import machine
from .process import Load, lost
from .servers import EpollSender, Pgherald, Postgres
from .table import Table, ratios


@dataclass
class Bench:
    build: Path
    rounds: int
    streams: int  # the most that a scenario opens
    postgres: Postgres
    troubles: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def daemon(self, **more: Any) -> Iterator[Pgherald]:
        server = Pgherald(self.build, self.postgres, **more)
        try:
            yield server
        finally:
            server.stop()

    @contextlib.contextmanager
    def limit(self, frame_bytes: int) -> Iterator[EpollSender]:
        server = EpollSender(self.build, frame_bytes)
        try:
            yield server
        finally:
            server.stop()

    @contextlib.contextmanager
    def load(self, server: Any, streams: int, role: str = "manager", connect: bool = True,
             **more: Any) -> Iterator[Load]:
        load = server.load(streams, role, **more)
        try:
            if connect:
                load.connect()
            yield load
        finally:
            load.close()

    def check(self, what: str, report: dict[str, Any], events: int) -> None:
        """Numbers of a run that lost something are not numbers."""
        wrong = lost(report)
        if report["events"] != events:
            wrong = f"{report['events']} of {events} events" + (", " + wrong if wrong else "")
        if wrong:
            self.troubles.append(f"{what}: {wrong}")


def _per(cpu_s: float, n: int) -> float:
    return cpu_s / n * 1e6


def broadcast(b: Bench) -> Table:
    """Every stream hears every event."""
    table = Table(
        "Broadcast: CPU per delivery, µs",
        ["streams", "events per send", "rate", "pgherald", "of it database thread", "plain epoll sender",
         "ratio", "deliveries/s, pgherald", "plain"],
    )
    small, big = min(1000, b.streams), b.streams
    # streams, batch, transactions a second (0: saturated), events
    plan = [(small, 1, 100, 300), (small, 16, 25, 1200), (small, 16, 0, 2400)]
    if big > small:
        per_s = max(1, 75000 // big)
        plan += [(big, 1, per_s, per_s * 4), (big, 16, max(1, per_s // 2), 32 * per_s),
                 (big, 16, 0, 32 * per_s)]
    for streams in sorted({row[0] for row in plan}):
        with contextlib.ExitStack() as stack:
            ours = stack.enter_context(b.daemon())
            our_load = stack.enter_context(b.load(ours, streams, consecutive=True))
            ours.learn_frame(our_load)
            limit = stack.enter_context(b.limit(ours.frame_bytes))
            their_load = stack.enter_context(b.load(limit, streams, consecutive=True))
            for _, batch, rate, count in (row for row in plan if row[0] == streams):
                cost: dict[str, list[float]] = {"pgherald": [], "epoll_sender": [], "database": []}
                speed: dict[str, list[float]] = {"pgherald": [], "epoll_sender": []}
                for _ in range(b.rounds):
                    for server, load in ((ours, our_load), (limit, their_load)):
                        load.ask("zero")
                        cpu, began = server.cpu(), time.monotonic()
                        database = ours.threads()[0]
                        report = server.broadcast(load, count, batch, rate)
                        wall = time.monotonic() - began
                        n = count * streams
                        cost[server.name].append(_per(server.cpu() - cpu, n))
                        speed[server.name].append(n / wall)
                        if server is ours:
                            cost["database"].append(_per(ours.threads()[0] - database, n))
                        b.check(f"broadcast, {server.name}, {streams} × {batch}", report, n)
                table.add(
                    f"{streams:,}", batch, f"{rate:,}/s" if rate else "saturated", cost["pgherald"],
                    cost["database"], cost["epoll_sender"],
                    ratios(cost["pgherald"], cost["epoll_sender"]),
                    [] if rate else speed["pgherald"], [] if rate else speed["epoll_sender"],
                )
            frame = ours.frame_bytes
    table.notes.append(
        f"An event is {frame} bytes and a chunk's frame. Rate is in sends a second and stream; "
        "saturated: two transactions are always under way, and the writer is one session."
    )
    return table


def targeted(b: Bench) -> Table:
    """Every event is for one stream among many."""
    table = Table(
        f"Targeted: one recipient among {b.streams:,}, CPU per event, µs",
        ["events per transaction", "events/s", "pgherald", "database thread", "worker",
         "plain epoll sender", "ratio", "worker's ratio"],
    )
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(b.daemon())
        our_load = stack.enter_context(b.load(ours, b.streams, "foreman"))
        limit = stack.enter_context(b.limit(350))
        their_load = stack.enter_context(b.load(limit, b.streams))
        for batch, rate in ((1, 500), (1, 2000), (50, 40)):
            count = batch * rate * 3
            cost: dict[str, list[float]] = {"all": [], "database": [], "worker": [], "limit": []}
            for _ in range(b.rounds):
                our_load.ask("zero")
                database, worker = ours.threads()
                report = ours.targeted(our_load, count, batch, rate)
                database, worker = (y - x for x, y in zip((database, worker), ours.threads()))
                cost["all"].append(_per(database + worker, count))
                cost["database"].append(_per(database, count))
                cost["worker"].append(_per(worker, count))
                b.check("targeted, pgherald", report, count)
                their_load.ask("zero")
                cpu = limit.cpu()
                report = limit.targeted(their_load, count, batch, rate)
                cost["limit"].append(_per(limit.cpu() - cpu, count))
                b.check("targeted, epoll_sender", report, count)
            table.add(batch, f"{batch * rate:,}", cost["all"], cost["database"], cost["worker"],
                      cost["limit"], ratios(cost["all"], cost["limit"]),
                      ratios(cost["worker"], cost["limit"]))
    return table


def memory(b: Bench) -> Table:
    """What one more idle stream takes."""
    table = Table(
        "Memory per idle authenticated stream, and what idling costs",
        ["streams", "daemon, KB", "kernel slab, both ends, KB", "TCP buffers, KB", "idle CPU of a core, %"],
    )
    private: list[float] = []
    slab: list[float] = []
    pages: list[float] = []
    idle: list[float] = []
    half = b.streams // 2
    for _ in range(b.rounds):
        with b.daemon(database="", route="") as ours, b.load(ours, half) as first:
            time.sleep(1)
            before = machine.private_kb(ours.pid), machine.slab_kb(), machine.socket_pages_kb()
            with b.load(ours, b.streams - half, "foreman"):
                time.sleep(1)
                after = machine.private_kb(ours.pid), machine.slab_kb(), machine.socket_pages_kb()
                per_stream = [(y - x) / (b.streams - half) for x, y in zip(before, after)]
                private.append(per_stream[0])
                slab.append(per_stream[1])
                pages.append(per_stream[2])
                cpu = ours.cpu()
                time.sleep(30)
                idle.append((ours.cpu() - cpu) / 30 * 100)
            del first
    table.add(f"{half:,} → {b.streams:,}", private, slab, pages, idle)
    table.notes.append(
        "Growth of the daemon's private memory between the two numbers of streams, every stream "
        "another user. Idle CPU with the default settings: a keep-alive and a look-up of its token "
        "per stream each 30 s."
    )
    return table


def latency(b: Bench) -> Table:
    """From the INSERT just before COMMIT to the bytes in the client's hands."""
    table = Table(
        "Latency commit → client, ms",
        ["streams", "changes/s", "p50", "p99", "p99.9", "max"],
    )
    for streams, rate, count in ((10, 20, 100), (100, 500, 2500)):
        values: dict[str, list[float]] = {"p50": [], "p99": [], "p999": [], "max": []}
        with b.daemon() as ours, b.load(ours, streams, consecutive=True) as load:
            ours.change(load, 50, 50)  # plans cached, pages touched
            for _ in range(b.rounds):
                load.ask("zero")
                report = ours.change(load, count, rate)
                b.check(f"latency at {rate}/s", report, count * streams)
                for name, us in report["latency_us"].items():
                    values[name].append(us / 1000)
        table.add(streams, rate, *values.values())
    table.notes.append(
        "One change is one transaction on the watched table, captured by the real triggers. The "
        "stamp is taken while the INSERT runs, so trigger and commit are part of the time; fsync "
        "is off."
    )
    return table


def connect(b: Bench) -> Table:
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
                _settle(ours)
                cpu, database = ours.cpu(), b.postgres.cpu()
                report = load.connect()
                cpu, database = ours.cpu() - cpu, b.postgres.cpu() - database
                b.check("connect", report, 0)
                for cell, value in zip(rows, (
                        n / report["connect_s"], _per(cpu, n), n / cpu, _per(database, n),
                        report["opening_us"]["p50"] / 1000, report["opening_us"]["p99"] / 1000)):
                    cell.append(value)
        table.add(f"{n:,}", in_flight, *rows)
    table.notes.append(
        "Every stream another user, after as many others have come and gone. The daemon logs every "
        "connect."
    )
    return table


def _settle(ours: Pgherald, quiet_s: float = 0.3) -> None:
    """Until the daemon has nothing to do."""
    for _ in range(100):
        cpu = ours.cpu()
        time.sleep(quiet_s)
        if ours.cpu() - cpu < 0.02 * quiet_s:
            return


def resume(b: Bench) -> Table:
    """Clients that come back far behind."""
    table = Table(
        "Resume: clients 20,000 events behind",
        ["from", "clients", "events/s", "daemon, µs of CPU per event", "all there after, s"],
    )
    behind = 20000
    for source, server, clients in (("ring", "", 1), ("ring", "", 20),
                                    ("journal", "ring_events = 100", 1),
                                    ("journal", "ring_events = 100", 10)):
        speed: list[float] = []
        cost: list[float] = []
        took: list[float] = []
        with b.daemon(server=server) as ours:
            for _ in range(b.rounds):
                with b.load(ours, clients, consecutive=True) as load:
                    ours.broadcast(load, 1, 1, 1)
                    load.ask("drop")
                    # 19,990: the ring has room for the one above and for those still to be cut
                    b.postgres.run(ours._write(behind - 10, 10, 0, 0))
                    _settle(ours)
                    load.ask("zero")
                    cpu = ours.cpu()
                    load.ask("connect")
                    report = load.wait(clients * (behind - 10), 60)
                    cpu = ours.cpu() - cpu
                    n = clients * (behind - 10)
                    b.check(f"resume from the {source}", report, n)
                    speed.append(n / report["events_s"])
                    cost.append(_per(cpu, n))
                    took.append(report["events_s"])
        table.add(source, clients, speed, cost, took)
    return table


SCENARIOS: dict[str, Callable[[Bench], Table]] = {
    "broadcast": broadcast,
    "targeted": targeted,
    "memory": memory,
    "latency": latency,
    "connect": connect,
    "resume": resume,
}
