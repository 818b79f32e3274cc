# SPDX-License-Identifier: PostgreSQL
"""The same events over each transport that stays open."""

from __future__ import annotations

from bench.lib.bench import OURS, Bench, Contestant
from bench.lib.table import Table, ratios

from .idle import grow

WIRES = ("sse", "ndjson", "websocket")


def transports(b: Bench) -> list[Table]:
    """What a transport costs beside SSE: a delivery, an idle stream."""
    streams = min(1000, b.streams)
    table = Table(
        f"Transports: the same events to {streams:,} streams each",
        ["transport", "bytes of an event", "CPU per delivery, µs", "÷ SSE", "the same, 16 at once, saturated", "÷ SSE",
         "memory per idle stream, KB"],
    )
    one: dict[str, list[float]] = {w: [] for w in WIRES}
    many: dict[str, list[float]] = {w: [] for w in WIRES}
    idle: dict[str, list[float]] = {w: [] for w in WIRES}
    size: dict[str, int] = {}
    for _ in range(b.rounds):
        for wire in WIRES:
            with b.daemon() as ours, b.load(ours, streams, consecutive=True, wire=wire) as load:
                ours.learn_frame(load)
                size[wire] = ours.frame_bytes
                c = Contestant(OURS, ours, load)
                one[wire].append(b.measure(c, f"{wire} × 1", 300, 1, 100).cost_us)
                many[wire].append(b.measure(c, f"{wire} × 16", 2400, 16, 0).cost_us)
            with b.daemon() as ours:
                idle[wire].append(grow(b, ours, min(8000, b.streams), wire=wire)[0])
    for wire in WIRES:
        table.add(wire, size[wire], one[wire], ratios(one[wire], one["sse"]), many[wire],
                  ratios(many[wire], many["sse"]), idle[wire])
    for wire in WIRES[1:]:
        b.against(f"a delivery over {wire}, against SSE", 1.15, ratios(one[wire], one["sse"]), "×")
    table.notes.append("One daemon for each, one after the other in each round; the dialect is django.")
    return [table]
