# SPDX-License-Identifier: PostgreSQL
"""How the cost of a delivery goes with the number of streams, of events and of workers."""

from __future__ import annotations

from bench.lib import machine
from bench.lib.bench import LONG_QUEUE, OURS, Bench, Contestant
from bench.lib.plot import Plot
from bench.lib.table import Table

STREAMS = (1000, 2000, 5000, 10000, 15000)
RATES = (5, 20, 50, 100, 200, 500, 1000)
SECONDS = 1.5


def growth(b: Bench) -> list[Table]:
    tables = [_streams(b), _rates(b)]
    if len(machine.processors()) > 1:
        tables.append(_workers(b))
    return tables


def _table(title: str, first: str, plot: Plot) -> Table:
    labels = list(plot.series)
    table = Table(title, [first, *labels])
    cells = {label: dict(points) for label, points in plot.series.items()}
    for x in sorted({x for points in plot.series.values() for x, _ in points}):
        table.add(f"{x:,.0f}", *(cells[label].get(x, []) for label in labels))
    table.notes.append(f"Plot: {plot.name}.svg")
    return table


def _streams(b: Bench) -> Table:
    plot = Plot("streams", "CPU per delivery, by number of streams",
                "every event to every stream, one event per send; median, least and most of the rounds",
                "streams", "µs of the server's CPU per delivery")
    counts = [n for n in STREAMS if n <= b.streams] or [b.streams]
    plot.x_ticks = [float(n) for n in counts]
    for streams in counts:
        with b.contestants(streams, consecutive=True) as all_:
            live = [c for c in all_ if c.streams == streams]  # the others do not grow so far
            values: dict[str, list[float]] = {}
            b.try_all(live, (1,))
            for round_ in range(b.rounds):
                for c in live:
                    if not c.failed and (not c.is_peer or round_ < 2):
                        rate = min(100.0, 75000 / streams)
                        _one(b, c, c.bearable(rate, 1, streams) if c.is_peer else rate, values)
            for label, cost in values.items():
                plot.add(label, streams, cost)
    b.plots.append(plot)
    return _table("Growth: CPU per delivery by number of streams, µs", "streams", plot)


def _one(b: Bench, c: Contestant, rate: float, values: dict[str, list[float]]) -> None:
    with b.forgiven(c):
        m = b.measure(c, f"growth, {c.streams} at {rate:g}/s", max(2, int(rate * SECONDS)), 1, rate)
        values.setdefault(c.label, []).append(m.cost_us)


def _rates(b: Bench) -> Table:
    streams = min(b.streams, 250)
    plot = Plot("rates", "CPU per delivery, by event rate",
                f"{streams:,} streams, every event to every stream, each published by itself; a line ends "
                "where a core is 80 % busy",
                "events per second", "µs of the server's CPU per delivery")
    plot.x_ticks = [float(r) for r in RATES]
    over: set[str] = set()
    with b.contestants(streams, route=LONG_QUEUE, consecutive=True) as all_:
        for rate in RATES:
            values: dict[str, list[float]] = {}
            for round_ in range(b.rounds):
                for c in all_:
                    if c.failed or c.label in over or c.streams != streams:
                        continue
                    if not c.is_peer or round_ < 2:
                        _one(b, c, rate, values)
            for label, cost in values.items():
                plot.add(label, rate, cost)
                # The next rate is the last one it will be asked for, if it can bear that at all.
                following = next((r for r in RATES if r > rate), rate)
                if min(cost) * following * streams > 0.8e6 and label != OURS:
                    over.add(label)
    b.plots.append(plot)
    return _table(f"Growth: CPU per delivery by event rate, {streams:,} streams, µs", "events/s", plot)


def _workers(b: Bench) -> Table:
    streams = min(b.streams, 10000)
    table = Table(
        f"Growth: workers, {streams:,} streams, all processors for everybody",
        ["workers", "deliveries/s, saturated", "CPU per delivery, µs"],
    )
    counts = [n for n in (1, 2, 4, 8, 16) if n <= len(machine.processors())]
    for workers in counts:
        speed: list[float] = []
        cost: list[float] = []
        with b.daemon(workers=workers, spread=True) as ours, \
                b.load(ours, streams, consecutive=True, spread=True) as load:
            count = max(16, 4000000 // streams // 16 * 16)
            ours.broadcast(load, 32, 16, 0)
            c = Contestant(OURS, ours, load)
            for _ in range(b.rounds):
                m = b.measure(c, f"growth, {workers} workers", count, 16, 0)
                cost.append(m.cost_us)
                speed.append(m.per_s)
        table.add(workers, speed, cost)
    table.notes.append(
        f"{len(machine.processors())} processors are shared by daemon, PostgreSQL and the clients, which "
        "take as much again: more workers help only where processors are left."
    )
    return table
