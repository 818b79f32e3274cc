# SPDX-License-Identifier: PostgreSQL
"""Live events: everybody's, one user's, and a mix of roles."""

from __future__ import annotations

from typing import Any

from bench.lib.bench import LIMIT, OURS, Bench, Contestant
from bench.lib.table import Table, ratios

Cells = dict[Any, list[float]]


def _into(cells: Cells, key: Any, value: float) -> None:
    cells.setdefault(key, []).append(value)


def broadcast(b: Bench) -> list[Table]:
    """Every stream hears every event."""
    table = Table(
        "Broadcast: CPU per delivery, µs",
        ["streams", "events per send", "rate", "pgherald", "of it database thread", "plain epoll sender",
         "ratio", "deliveries/s, pgherald", "plain"],
    )
    others = Table(
        "Broadcast, other servers",
        ["server", "streams", "events per send", "rate", "CPU per delivery, µs", "pgherald ÷ server",
         "deliveries/s"],
    )
    small, big = min(1000, b.streams), b.streams
    per_s = max(1, 75000 // big)
    # streams, events per send, sendings a second (0: saturated), events
    plan = [(small, 1, 100, 300), (small, 16, 25, 1200), (small, 16, 0, 2400)]
    if big > small:
        half = max(1, per_s // 2)
        plan += [(big, 1, per_s, per_s * 3), (big, 16, half, half * 16 * 3), (big, 16, 0, 32 * per_s)]
    frame = 0
    for streams in sorted({row[0] for row in plan}):
        with b.contestants(streams, consecutive=True) as all_:
            ours = all_[0].server
            frame = ours.frame_bytes
            b.try_all(all_, (1, 16))
            for _, batch, rate, count in (row for row in plan if row[0] == streams):
                cost: Cells = {}
                speed: Cells = {}
                shown: dict[str, tuple[int, str]] = {}
                database: list[float] = []
                for round_ in range(b.rounds):
                    for c in all_:
                        if c.failed or c.is_peer and (round_ >= 3 or (batch > 1 and rate)
                                                      or c.streams <= small < streams):
                            continue
                        before = ours.threads()[0]
                        with b.forgiven(c):
                            m = _broadcast_round(b, c, batch, rate, count, shown)
                            _into(cost, c.label, m.cost_us)
                            _into(speed, c.label, m.per_s)
                            if c.label == OURS:
                                database.append((ours.threads()[0] - before) / m.n * 1e6)
                table.add(f"{streams:,}", batch, f"{rate:,}/s" if rate else "saturated", cost[OURS],
                          database, cost[LIMIT], ratios(cost[OURS], cost[LIMIT]),
                          [] if rate else speed[OURS], [] if rate else speed[LIMIT])
                for c in all_:
                    if c.is_peer and c.label in cost:
                        others.add(c.label, f"{c.streams:,}", *shown[c.label], cost[c.label],
                                   ratios(cost[OURS], cost[c.label]), [] if rate else speed[c.label])
                same = {c.label for c in all_ if c.streams == streams}
                _broadcast_notes(b, streams, batch, rate, {k: v for k, v in cost.items() if k in same})
    table.notes.append(
        f"An event is {frame} bytes and a chunk's frame. Rate is in sends a second and stream; "
        "saturated: two transactions are always under way, and the writer is one session."
    )
    others.notes.append(
        "The same bytes per event, in the same rounds. A server gets fewer streams where it does not "
        "carry more in bounded time, and a lower rate where the full one takes more than 60 % of its "
        "processor. None of them looks up tokens or rights here; pgherald does, and reads from "
        "PostgreSQL."
    )
    return [table, others] if others.rows else [table]


def _broadcast_round(b: Bench, c: Contestant, batch: int, rate: float, count: int,
                     shown: dict[str, tuple[int, str]]) -> Any:
    mine = c.batch(batch)
    if c.is_peer:
        if rate:
            seconds = count / batch / rate
            rate = c.bearable(rate, mine, c.streams)
            count = max(2, int(rate * seconds)) * mine
        else:  # at most four seconds of work
            count = min(count, max(4, int(4e6 / (c.cost_us[mine] * c.streams * mine))) * mine)
            count -= count % mine
    shown[c.label] = mine, f"{rate:g}/s" if rate else "saturated"
    return b.measure(c, f"broadcast, {c.streams:,} × {mine}", count, mine, rate)


def _broadcast_notes(b: Bench, streams: int, batch: int, rate: float, cost: Cells) -> None:
    nchan = cost.get("nchan (nginx)", [])
    if batch == 1:
        for label, values in cost.items():
            b.note(label, f"broadcast to {streams:,}, µs of CPU per delivery", values)
        b.against(f"broadcast to {streams:,}, one event per send, against plain epoll", 1.1,
                  ratios(cost[OURS], cost[LIMIT]), "×")
        b.against(f"broadcast to {streams:,}, one event per send, against nchan", 0.6,
                  ratios(cost[OURS], nchan), "×")
    elif not rate:
        for label, values in cost.items():
            b.note(label, f"the same, saturated, to {streams:,}", values)
        b.against(f"broadcast to {streams:,}, saturated, against nchan", 0.25, ratios(cost[OURS], nchan), "×")


def targeted(b: Bench) -> list[Table]:
    """Every event is for one stream among many."""
    table = Table(
        f"Targeted: one recipient among {b.streams:,}, CPU per event, µs",
        ["events per transaction", "events/s", "pgherald", "database thread", "worker",
         "plain epoll sender", "ratio", "worker's ratio"],
    )
    others = Table(
        "Targeted, other servers",
        ["server", "streams", "events per send", "events/s", "CPU per event, µs", "pgherald ÷ server"],
    )
    with b.contestants(b.streams, "foreman") as all_:
        ours = all_[0].server
        b.try_all(all_, (1, 50), targeted=True)
        for batch, rate in ((1, 500), (1, 2000), (50, 40)):
            cost: Cells = {}
            worker: list[float] = []
            database: list[float] = []
            shown: dict[str, tuple[int, str]] = {}
            for round_ in range(b.rounds):
                for c in all_:
                    if c.failed or c.is_peer and (round_ >= 3 or (batch == 1 and rate != 500)):
                        continue
                    mine = c.batch(batch)
                    mine_rate = c.bearable(rate * batch / mine, mine, 1) if c.is_peer else rate
                    shown[c.label] = mine, f"{mine_rate * mine:,.0f}"
                    before = ours.threads()
                    with b.forgiven(c):
                        m = b.measure(c, f"targeted × {mine}", max(1, int(mine_rate * 2)) * mine, mine,
                                      mine_rate, targeted=True)
                        _into(cost, c.label, m.cost_us)
                        if c.label == OURS:
                            after = ours.threads()
                            database.append((after[0] - before[0]) / m.n * 1e6)
                            worker.append((after[1] - before[1]) / m.n * 1e6)
            table.add(batch, f"{batch * rate:,}", cost[OURS], database, worker, cost[LIMIT],
                      ratios(cost[OURS], cost[LIMIT]), ratios(worker, cost[LIMIT]))
            for c in all_:
                if c.is_peer and c.label in cost:
                    others.add(c.label, f"{c.streams:,}", *shown[c.label], cost[c.label],
                               ratios(cost[OURS], cost[c.label]))
            b.against(f"one recipient among {b.streams:,}, {batch * rate:,} events/s, {batch} per transaction",
                      50, cost[OURS], "µs")
            b.against(f"the same, {batch} per transaction, against nchan", 0.6,
                      ratios(cost[OURS], cost.get("nchan (nginx)", [])), "×")
            same = {c.label for c in all_ if c.streams == b.streams}
            if rate != 2000:
                for label, values in ((k, v) for k, v in cost.items() if k in same):
                    b.note(label, f"one recipient among {b.streams:,}, " +
                           ("one at a time, µs per event" if batch == 1 else "many at once"), values)
    return [table, others] if others.rows else [table]


def mix(b: Bench) -> list[Table]:
    """One manager to nineteen foremen; each event is one foreman's and all managers'."""
    managers = max(1, b.streams // 20)
    foremen = b.streams - managers
    table = Table(
        f"Role mix: {managers:,} managers hear all, {foremen:,} foremen their own",
        ["events per transaction", "events/s", "pgherald, µs per delivery", "plain epoll, µs per delivery",
         "ratio", "pgherald, µs per event"],
    )
    with b.daemon() as ours, b.load(ours, managers, consecutive=True) as heads, \
            b.load(ours, foremen, "foreman") as hands:
        ours.learn_frame(heads)
        with b.limit(ours.frame_bytes) as limit, b.load(limit, managers + 1, consecutive=True) as plain:
            for batch, rate in ((1, 50), (10, 20)):
                count = batch * rate * 3
                n = count * (managers + 1)
                cost: list[float] = []
                theirs: list[float] = []
                for _ in range(b.rounds):
                    heads.ask("zero")
                    hands.ask("zero")
                    cpu = ours.cpu()
                    report = ours.mixed(heads, hands, count, batch, rate)
                    cost.append((ours.cpu() - cpu) / n * 1e6)
                    b.check("mix, managers", report, count * managers)
                    b.check("mix, foremen", hands.ask("report"), count)
                    plain.ask("zero")
                    cpu = limit.cpu()
                    report = limit.broadcast(plain, count, batch, rate)
                    theirs.append((limit.cpu() - cpu) / n * 1e6)
                    b.check("mix, plain epoll", report, n)
                table.add(batch, batch * rate, cost, theirs, ratios(cost, theirs),
                          [us * (managers + 1) for us in cost])
    table.notes.append(
        f"The plain sender has {managers + 1:,} streams and sends to all: as many deliveries, no choice."
    )
    return [table]
