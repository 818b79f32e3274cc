# SPDX-License-Identifier: PostgreSQL
"""What the scenarios share: how servers and streams are started and ended, and what is noted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.peers.common import Peer

from .plot import Plot
from .process import Load, lost
from .servers import EpollSender, Pgherald, Postgres
from .table import Table, number, spread

# For events that come by the thousand a second: the default, 100 waiting messages, is 20 ms of them
# then, and a client that the machine kept waiting for longer would have to come back.
LONG_QUEUE = "keepalive = 1h\nqueue_events = 5000"
LIMIT = "plain epoll sender"
OURS = "pgherald"


@dataclass
class Contestant:
    """A server with its streams, all up, and what an event costs it, to choose a bearable rate."""

    label: str
    server: Any
    load: Load
    cost_us: dict[int, float] = field(default_factory=dict)  # per delivery, by events per send
    failed: bool = False  # a peer that broke down takes no part any more

    @property
    def streams(self) -> int:
        return self.load.streams

    @property
    def is_peer(self) -> bool:
        return isinstance(self.server, Peer)

    def batch(self, wanted: int) -> int:
        return min(wanted, getattr(self.server, "most_batch", wanted))

    def try_out(self, receivers: int, batches: tuple[int, ...], targeted: bool = False) -> None:
        """One sending at a time, so that nothing is merged that will not be at a lower rate."""
        run = self.server.targeted if targeted else self.server.broadcast
        for batch in batches:
            batch = self.batch(batch)
            self.load.ask("zero")
            cpu = self.server.cpu()
            for _ in range(3):
                run(self.load, batch, batch, 100)
            self.cost_us[batch] = (self.server.cpu() - cpu) / (3 * batch * receivers) * 1e6

    def bearable(self, rate: float, batch: int, receivers: int, share: float = 0.6) -> float:
        """The rate of sendings, or less if it would take more than that share of a processor."""
        most = share * 1e6 / (self.cost_us[batch] * batch * receivers)
        if rate <= most:
            return rate
        step = 10 ** (len(str(int(most))) - 1) if most >= 1 else 0.1
        return max(step, most // step * step)


@dataclass
class Measured:
    cost_us: float  # the server's CPU per delivery
    wall_s: float
    n: int
    report: dict[str, Any]

    @property
    def per_s(self) -> float:
        return self.n / self.wall_s


@dataclass
class Verdict:
    """A target, and what was reached."""

    what: str
    most: float
    values: list[float]
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        return median(self.values) >= self.most if self.at_least else median(self.values) <= self.most

    def row(self) -> list[str]:
        sign = "≥" if self.at_least else "≤"
        return [self.what, f"{sign} {number(self.most)} {self.unit}".strip(),
                f"{spread(self.values)} {self.unit}".strip(), "yes" if self.met else "**no**"]


@dataclass
class Bench:
    build: Path
    rounds: int
    streams: int  # the most that a scenario opens
    postgres: Postgres
    peers: dict[type[Peer], str] = field(default_factory=dict)  # and their versions
    troubles: list[str] = field(default_factory=list)  # of ours and of the limit: not numbers then
    remarks: list[str] = field(default_factory=list)  # on the peers
    verdicts: list[Verdict] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    summary: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # server, column

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
            if connect and isinstance(server, Peer):
                load.connect(20, 3)
            elif connect:
                load.connect()
            yield load
        finally:
            load.close()

    @contextlib.contextmanager
    def peer(self, peer: type[Peer], frame_bytes: int = 350) -> Iterator[Peer]:
        server = peer(self.build, frame_bytes)
        try:
            yield server
        finally:
            server.stop()

    @contextlib.contextmanager
    def contestants(self, streams: int, role: str = "manager", peers: bool = True,
                    route: str = "keepalive = 1h", **more: Any) -> Iterator[list[Contestant]]:
        """Ours, the limit and the peers, each with so many streams or the most it carries; an event
        of theirs is as long as one of ours. A peer that fails is remarked upon and left out."""
        with contextlib.ExitStack() as stack:
            ours = stack.enter_context(self.daemon(route=route))
            if role != "manager":
                with self.load(ours, 10) as few:
                    ours.learn_frame(few)
            load = stack.enter_context(self.load(ours, streams, role, **more))
            if role == "manager":
                ours.learn_frame(load)
            found = [Contestant(OURS, ours, load)]
            limit = stack.enter_context(self.limit(ours.frame_bytes))
            load = stack.enter_context(self.load(limit, streams, role, **more))
            found.append(Contestant(LIMIT, limit, load))
            for peer in self.peers if peers else ():
                try:
                    found.append(self._peer(stack, peer, streams, role, ours.frame_bytes, **more))
                except (RuntimeError, OSError) as error:
                    self.remark(peer.label, f"left out at {streams:,} streams: {error}")
            yield found

    def _peer(self, stack: contextlib.ExitStack, peer: type[Peer], streams: int, role: str,
              frame_bytes: int, **more: Any) -> Contestant:
        server = stack.enter_context(self.peer(peer, frame_bytes))
        with self.load(server, 10) as few:
            server.learn_frame(few)
        load = stack.enter_context(self.load(server, min(streams, peer.most), role, **more))
        return Contestant(peer.label, server, load)

    def try_all(self, all_: list[Contestant], batches: tuple[int, ...], targeted: bool = False) -> None:
        for c in all_:
            with self.forgiven(c):
                c.try_out(1 if targeted else c.streams, batches, targeted)

    @contextlib.contextmanager
    def forgiven(self, c: Contestant) -> Iterator[None]:
        """A peer may break down; we may not."""
        try:
            yield
        except (RuntimeError, OSError) as error:
            if not c.is_peer:
                raise
            c.failed = True
            self.remark(c.label, f"broke down with {c.streams:,} streams: {error}")

    def measure(self, c: Contestant, what: str, count: int, batch: int, rate: float,
                targeted: bool = False) -> Measured:
        """One round: `count` events, to all streams or each to one."""
        assert count % batch == 0  # else numbers are left out
        receivers = 1 if targeted else c.streams
        if c.load.ask("zero")["up"] < c.streams:  # some were closed in an earlier round
            c.load.connect(30)
            time.sleep(1)  # what they had missed
            c.load.ask("zero")
        cpu, began = c.server.cpu(), time.monotonic()
        report = (c.server.targeted if targeted else c.server.broadcast)(c.load, count, batch, rate)
        wall = time.monotonic() - began
        n = count * receivers
        self.check(f"{what}, {c.label}", report, n, peer=c.is_peer)
        if c.is_peer:
            n = report["events"]  # it may lose some
        if not n:
            raise RuntimeError("nothing arrived")
        return Measured((c.server.cpu() - cpu) / n * 1e6, wall, n, report)

    def remark(self, who: str, text: str) -> None:
        self.remarks.append(f"{who}: {text}")

    def check(self, what: str, report: dict[str, Any], events: int, peer: bool = False) -> None:
        """Numbers of a run that lost something are not numbers."""
        wrong = lost(report)
        if report["events"] != events:
            wrong = f"{report['events']} of {events} events" + (", " + wrong if wrong else "")
        if wrong:
            (self.remarks if peer else self.troubles).append(f"{what}: {wrong}")

    def note(self, label: str, column: str, values: list[float]) -> None:
        """For the table that compares the servers."""
        if values:
            self.summary.setdefault(label, {})[column] = values

    def against(self, what: str, limit: float, values: list[float], unit: str,
                at_least: bool = False) -> None:
        if values:
            self.verdicts.append(Verdict(what, limit, values, unit, at_least))

    def compared(self, columns: list[str]) -> Table:
        """One line a server."""
        table = Table("Servers beside each other", ["server", *columns])
        for label in self.summary:
            table.add(label, *(self.summary[label].get(column, []) for column in columns))
        return table
