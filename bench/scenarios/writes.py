# SPDX-License-Identifier: PostgreSQL
"""From the writer's COMMIT to the client, with writers that are idle, busy or sweeping, and with
readers that do not read."""

from __future__ import annotations

import threading
import time
from typing import Any

from bench.lib import machine
from bench.lib.bench import LONG_QUEUE, OURS, Bench, Contestant
from bench.lib.table import Table

FIELDS = ("p50", "p99", "p999", "max")


def latency(b: Bench) -> list[Table]:
    """From the INSERT just before COMMIT to the bytes in the client's hands."""
    table = Table(
        "Latency commit → client, ms",
        ["streams", "changes/s wanted", "reached", "p50", "p99", "p99.9", "max"],
    )
    for streams, rate, count in ((10, 20, 100), (100, 500, 2000), (10, 5000, 10000)):
        values: dict[str, list[float]] = {name: [] for name in FIELDS}
        reached: list[float] = []
        with b.daemon(route=LONG_QUEUE) as ours, b.load(ours, streams, consecutive=True) as load:
            ours.change(load, 50, 50)  # plans cached, pages touched
            for _ in range(b.rounds):
                load.ask("zero")
                began = time.monotonic()
                report = ours.change(load, count, rate)
                reached.append(count / (time.monotonic() - began))
                b.check(f"latency at {rate}/s", report, count * streams)
                for name in FIELDS:
                    values[name].append(report["latency_us"][name] / 1000)
        table.add(streams, rate, reached, *values.values())
        if rate == 20:
            b.against("commit → client, idle, p50", 1, values["p50"], "ms")
            b.against("commit → client, idle, p99", 5, values["p99"], "ms")
            b.note(OURS, "write → client when idle, p50, ms", values["p50"])
        else:
            b.against(f"commit → client at {rate:,} changes/s, p99", 50, values["p99"], "ms")
    table.notes.append(
        "One change is one transaction on the watched table, captured by the real triggers, from one "
        "session. queue_events is 5000. The stamp is taken while the INSERT runs, so trigger and commit are part of the time; "
        "fsync is off. Other servers have no database in it: their time begins with the POST."
    )
    return [table, *_others_latency(b)]


def _others_latency(b: Bench) -> list[Table]:
    table = Table("Latency of the other servers, publishing request → client, ms",
                  ["server", "streams", "events/s", "p50", "p99", "p99.9", "max"])
    for peer in b.peers:
        try:
            with b.peer(peer) as server:
                for streams, rate, seconds in ((10, 20, 4), (100, 500, 2)):
                    values: dict[str, list[float]] = {name: [] for name in FIELDS}
                    with b.load(server, streams, consecutive=True) as load:
                        server.learn_frame(load)
                        for _ in range(min(b.rounds, 2)):
                            load.ask("zero")
                            report = server.broadcast(load, rate * seconds, 1, rate)
                            b.check(f"latency at {rate}/s, {peer.label}", report,
                                    rate * seconds * streams, peer=True)
                            for name in FIELDS:
                                values[name].append(report["latency_us"][name] / 1000)
                    table.add(peer.label, streams, rate, *values.values())
                    if rate == 20:
                        b.note(peer.label, "write → client when idle, p50, ms", values["p50"])
        except (RuntimeError, OSError) as error:
            b.remark(peer.label, f"latency not measured: {error}")
    return [table] if table.rows else []


def bulk(b: Bench) -> list[Table]:
    """One statement changes ten thousand rows: clients are told to fetch again."""
    rows, streams = 10000, min(b.streams, 5000)
    table = Table(
        f"Bulk: UPDATE of {rows:,} rows, {streams:,} streams",
        ["statement without trigger, ms", "with trigger, ms", "throughput kept", "resyncs per stream",
         "commit → first client, ms", "commit → last client, ms"],
    )
    update = "UPDATE bench.item SET m = m || 'x'"
    cells: dict[str, list[float]] = {k: [] for k in ("off", "on", "kept", "each", "first", "last")}
    with b.daemon() as ours, b.load(ours, streams) as load:
        b.postgres.run(f"INSERT INTO bench.item (owner_id, m, pad) SELECT {100000} + g, 'm', "
                       f"repeat('x', 200) FROM generate_series(1, {rows}) AS g")
        load.ask(f"resyncs {streams} 10000")
        for _ in range(b.rounds):
            took = {"DISABLE": 9e9, "ENABLE": 9e9}  # the best of three each
            for state in took:
                b.postgres.run(f"ALTER TABLE bench.item {state} TRIGGER USER; VACUUM bench.item")
                for _ in range(3):
                    load.ask("zero")
                    began = time.time()
                    b.postgres.run(update)
                    done = time.time()
                    took[state] = min(took[state], done - began)
                    report = load.ask(f"resyncs {streams if state == 'ENABLE' else 0} 10000")
            if report["resyncs"] != streams or report["closed"]:
                b.troubles.append(f"bulk: {report['resyncs']} resyncs for {streams} streams")
            cells["off"].append(took["DISABLE"] * 1000)
            cells["on"].append(took["ENABLE"] * 1000)
            cells["kept"].append(took["DISABLE"] / took["ENABLE"])
            cells["each"].append(report["resyncs"] / streams)
            cells["first"].append((report["first_resync"] - done) * 1000)
            cells["last"].append((report["last_resync"] - done) * 1000)
    table.add(*cells.values())
    b.against("bulk UPDATE of 10,000 rows, throughput kept", 0.85, cells["kept"], "", at_least=True)
    table.notes.append("Times of the statement include the client's round trip; a first client below "
                       "zero heard before the writer's session had its answer.")
    return [table]


class Watch:
    """The most private memory a server has had, looked at ten times a second."""

    def __init__(self, server: Any) -> None:
        self.server, self.kb, self.over = server, server.private_kb(), threading.Event()
        self.before = self.kb
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.over.wait(0.1):
            self.kb = max(self.kb, self.server.private_kb())

    def stop(self) -> float:
        """Megabytes gained at most."""
        self.over.set()
        self.thread.join()
        return (max(self.kb, self.server.private_kb()) - self.before) / 1024


def stuck(b: Bench) -> list[Table]:
    """One reader in a hundred never reads; what do the others feel?"""
    streams = min(b.streams, 5000)
    rate, seconds = max(1, 200000 // streams), 5
    table = Table(
        f"Stuck readers: {streams:,} streams, events to all for {seconds} s",
        ["server", "stuck", "events/s", "CPU per delivery, µs", "p50 of the others, ms", "p99, ms",
         "memory gained at most, MB", "kernel's TCP buffers, MB", "stuck streams closed"],
    )
    rows: dict[float, list[list[float]]] = {0.0: [], 0.01: []}
    closed: list[float] = []
    for _ in range(b.rounds):
        for share, results in rows.items():
            with b.daemon() as ours:
                results.append(_stuck_round(b, ours, streams, share, rate, seconds, OURS))
                if share:
                    closed.append(ours.log_count("the client does not read"))
    for share, results in rows.items():
        table.add(OURS, f"{share:.0%}", rate, *(list(c) for c in zip(*results)), closed if share else [])
    for peer in (p for p in b.peers if p.most >= streams):
        try:
            speed = 0.0
            for share in rows:
                with b.peer(peer) as server:
                    speed = speed or _bearable(b, peer.label, server, streams, rate)
                    result = _stuck_round(b, server, streams, share, speed, seconds, peer.label)
                table.add(peer.label, f"{share:.0%}", speed, *([value] for value in result), [])
        except (RuntimeError, OSError) as error:
            b.remark(peer.label, f"stuck readers not measured: {error}")
    table.notes.append(
        f"{streams // 100} of {streams:,} streams stop reading after the answer's head, with receive "
        "buffers of 4 KB. How many of them the other servers close is not known."
    )
    return [table]


def _bearable(b: Bench, label: str, server: Any, streams: int, rate: float) -> float:
    with b.load(server, streams) as load:
        c = Contestant(label, server, load)
        c.try_out(streams, (1,))
        return c.bearable(rate, 1, streams)


def _stuck_round(b: Bench, server: Any, streams: int, share: float, rate: float, seconds: int,
                 label: str) -> list[float]:
    with b.load(server, streams, slow=share or None) as load:
        load.streams = streams - round(streams * share)  # those that are waited for
        server.broadcast(load, max(1, int(rate)), 1, rate)  # the buffers of the stuck fill
        pages, watch, cpu = machine.socket_pages_kb(), Watch(server), server.cpu()
        load.ask("zero")
        count = max(1, int(rate * seconds))
        n = count * load.streams
        report = server.broadcast(load, count, 1, rate)
        used, gained = server.cpu() - cpu, watch.stop()
        if label == OURS:
            report = {**report, "closed": 0}  # those are what it should close
        b.check(f"stuck readers, {label}", report, n, peer=label != OURS)
        return [used / n * 1e6, report["latency_us"]["p50"] / 1000, report["latency_us"]["p99"] / 1000,
                gained, max(0, machine.socket_pages_kb() - pages) / 1024]
