# SPDX-License-Identifier: PostgreSQL
"""What the daemon pays: a delivery, a connect, an idle stream, an idle second. Real parts: the
daemon, PostgreSQL, bench's client. Events go one by one, each when the one before has arrived
everywhere, so that every run does the same."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from bench.lib.process import Load, lost
from bench.lib.servers import Pgherald, Postgres

from .callgrind import Callgrind
from .heap import Heap
from .strace import KNOWN, SENDS, WAITS, Calls, Strace

STREAMS = 200
EVENTS = 40
BATCH = 16
KEYS = 16  # channels beside the first
# Beyond the flush interval, and slower than what wakes the daemon's own polling.
PACE_S = 0.015
IDLE_S = 4

Figures = dict[str, float]


@contextlib.contextmanager
def daemon(build: Path, postgres: Postgres, wrap: list[str]) -> Iterator[Pgherald]:
    """bench's daemon, with "pgherald serve" started by another command."""
    wrapped = postgres.dir / "wrapped"
    (wrapped / "bench").mkdir(parents=True, exist_ok=True)
    shutil.copy(build / "bench/load", wrapped / "bench/load")
    script, program = wrapped / "pgherald", shlex.quote(str(build / "pgherald"))
    script.write_text(f'''#!/bin/sh
        case $1 in
        serve) exec {shlex.join(wrap)} {program} "$@" ;;
        *) exec {program} "$@" ;;
        esac
        ''')
    script.chmod(0o755)
    server = Pgherald(wrapped, postgres)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def clients(server: Pgherald, role: str, **more: int | str) -> Iterator[Load]:
    load = server.load(STREAMS, role, **more)
    try:
        load.connect()
        yield load
    finally:
        load.close()


def settle() -> None:
    """The client has it all; the daemon's turn of the loop may still be under way."""
    time.sleep(4 * PACE_S)


def lockstep(server: Pgherald, load: Load, role: str, events: int = EVENTS, batch: int = 1) -> None:
    """`events` transactions of `batch` events."""
    load.ask("zero")
    for _ in range(events):
        began = time.monotonic()
        if role == "manager":
            server.broadcast(load, batch, batch, 0)
        else:
            server.targeted(load, batch, batch, 0)
        time.sleep(max(0, began + PACE_S - time.monotonic()))
    settle()
    report = load.ask("report")
    wanted = events * batch * (STREAMS if role == "manager" else 1)
    if lost(report) or report["events"] != wanted:
        raise RuntimeError(f"{report['events']} of {wanted} events; {lost(report)}")


def gone(server: Pgherald, n: int, words: str = "SSE stream closed") -> None:
    """Until so many streams have ended."""
    log, end = Path(server.log.name), time.monotonic() + 30
    while log.read_text().count(words) < n:
        if time.monotonic() > end:
            raise RuntimeError("the streams do not end")
        time.sleep(0.01)
    settle()


def come_and_go(server: Pgherald) -> None:
    """Everybody comes, one after the other, and leaves again."""
    before = Path(server.log.name).read_text().count("SSE stream closed")
    with clients(server, "manager", in_flight=1):
        pass
    gone(server, before + STREAMS)


def idle_bytes(server: Pgherald, meter: Heap, query: str) -> float:
    """Of a stream of a foreman's that asks so, with nothing to be told."""
    token = server.token("foreman")
    before, sockets = meter.bytes(), []
    for n in range(STREAMS):
        s = socket.create_connection(("127.0.0.1", server.port), 30)
        sockets.append(s)
        s.sendall(f"GET {server.path}?{query} HTTP/1.1\r\nHost: t\r\nAuthorization: Token {token % (n + 1)}\r\n\r\n".encode())
        answer = b""
        while b"connected" not in answer:
            answer += s.recv(4096)
    settle()
    taken = (meter.bytes() - before) / STREAMS
    ended = Path(server.log.name).read_text().count("stream closed")
    for s in sockets:
        s.close()
    gone(server, ended + STREAMS, "stream closed")
    return taken


def instructions(build: Path, postgres: Postgres) -> Figures:
    figures: Figures = {}
    meter = Callgrind(postgres.dir)
    with daemon(build, postgres, meter.wrap) as server:
        meter.watch(server.port)
        come_and_go(server)
        meter.count()
        come_and_go(server)
        figures["connect.instructions"] = meter.count() / STREAMS
        with clients(server, "manager") as load:
            lockstep(server, load, "manager", 5)
            meter.count()
            lockstep(server, load, "manager")
            figures["broadcast.instructions"] = meter.count() / (EVENTS * STREAMS)
            lockstep(server, load, "manager", batch=BATCH)
            figures["batch.instructions"] = meter.count() / (EVENTS * BATCH * STREAMS)
        with clients(server, "foreman") as load:
            lockstep(server, load, "foreman", 5)
            meter.count()
            lockstep(server, load, "foreman", 2 * EVENTS)
            figures["targeted.instructions"] = meter.count() / (2 * EVENTS)
            lockstep(server, load, "foreman", EVENTS, BATCH)
            figures["targeted.batch.instructions"] = meter.count() / (EVENTS * BATCH)
    return figures


def allocations(build: Path, postgres: Postgres) -> Figures:
    figures: Figures = {}
    meter = Heap(postgres.dir)
    with daemon(build, postgres, meter.wrap) as server:
        come_and_go(server)
        meter.allocations()
        come_and_go(server)
        figures["connect.allocations"] = meter.allocations() / STREAMS
        with clients(server, "manager") as load:
            lockstep(server, load, "manager", 5)
            lockstep(server, load, "manager", 5, BATCH)
            meter.allocations()
            lockstep(server, load, "manager")
            figures["broadcast.allocations"] = meter.allocations() / (EVENTS * STREAMS)
            lockstep(server, load, "manager", batch=BATCH)
            figures["batch.allocations"] = meter.allocations() / (EVENTS * BATCH * STREAMS)
            before = meter.bytes()
            with clients(server, "foreman") as others:
                settle()
                figures["stream.bytes"] = (meter.bytes() - before) / STREAMS
                meter.allocations()
                lockstep(server, others, "foreman", 2 * EVENTS)
                figures["targeted.allocations"] = meter.allocations() / (2 * EVENTS)
            gone(server, 3 * STREAMS)
            before = meter.bytes()
            with clients(server, "foreman", wire="websocket"):
                settle()
                figures["websocket.bytes"] = (meter.bytes() - before) / STREAMS
        gone(server, STREAMS, "WebSocket stream closed")
        figures["poll.bytes"] = idle_bytes(server, meter, "transport=poll")
        one, many = (idle_bytes(server, meter, "channels=" + ",".join(f"c.{i}" for i in range(n))) for n in (1, 1 + KEYS))
        figures["key.bytes"] = (many - one) / KEYS
    return figures


def _calls(figures: Figures, name: str, meter: Strace, events: int, sends: int) -> None:
    """Figures of a window of so many transactions and so many sends to clients."""
    database, worker = meter.count()
    # A loop turns without anything having happened when it waited for a timer, as an event must
    # not. The worker's tick comes each second.
    waits = database.timeouts + worker.timeouts
    figures[f"{name}.waits"] = max(0, waits - meter.seconds) / events
    figures[f"{name}.sends"] = worker.of(SENDS) / sends
    figures[f"{name}.worker.turns"] = (worker.of(KNOWN - SENDS) - worker.timeouts) / events
    figures[f"{name}.database.turns"] = (database.of(KNOWN) - database.timeouts) / events
    figures[f"{name}.statements"] = database.of({"sendto"}) / events
    unknown = database.unknown() + worker.unknown()
    figures[f"{name}.unknown"] = sum(unknown.values()) / events
    if unknown:
        print(f"      {name}: system calls that nobody expected: {dict(unknown)}")


def calls(build: Path, postgres: Postgres) -> Figures:
    figures: Figures = {}
    meter = Strace(postgres.dir)
    with daemon(build, postgres, meter.wrap) as server:
        with clients(server, "manager") as load:
            lockstep(server, load, "manager", 5)
            meter.count()
            lockstep(server, load, "manager")
            _calls(figures, "broadcast", meter, EVENTS, EVENTS * STREAMS)
            lockstep(server, load, "manager", batch=BATCH)
            _calls(figures, "batch", meter, EVENTS, EVENTS * STREAMS)
        with clients(server, "foreman") as load:
            lockstep(server, load, "foreman", 5)
            meter.count()
            lockstep(server, load, "foreman", 2 * EVENTS)
            _calls(figures, "targeted", meter, 2 * EVENTS, 2 * EVENTS)
            time.sleep(IDLE_S)
            database, worker = meter.count()
            figures["idle.statements"] = database.of({"sendto"}) / meter.seconds
            figures["idle.waits"] = (database.of(WAITS) + worker.of(WAITS)) / meter.seconds
    return figures
