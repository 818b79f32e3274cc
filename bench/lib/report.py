# SPDX-License-Identifier: PostgreSQL
"""A run's result as one directory: report.md, report.json and the plots."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .bench import Bench
from .table import Table

# What a reader of the front page wants to know, of every server.
FRONT = ["broadcast to 1,000, µs of CPU per delivery", "broadcast to {n}, µs of CPU per delivery",
         "the same, saturated, to {n}", "one recipient among {n}, one at a time, µs per event", "memory per idle stream, KB",
         "write → client when idle, p50, ms"]


@dataclass
class Run:
    machine: str
    command: str
    versions: dict[str, str]
    absent: dict[str, str]
    load_before: float
    began: str
    tables: dict[str, list[Table]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    load_after: float = 0.0

    def head(self) -> str:
        load, spent = f"load average before {self.load_before}", ""
        if self.seconds:
            load += f", after {self.load_after}"
            spent = f", {sum(self.seconds.values()):.0f} s"
        lines = [f"{self.machine}; {self.began}; {load}; `{self.command}`{spent}.", "",
                 "Servers: " + "; ".join(self.versions.values()) + "."]
        lines += [f"Absent: {label}: {why}." for label, why in self.absent.items()]
        return "\n".join(lines)


def front(b: Bench) -> Table:
    """One line a server, for README.md."""
    table = b.compared([column.format(n=f"{b.streams:,}") for column in FRONT])
    table.columns = [c.replace("the same, saturated, to", "saturated broadcast to") for c in table.columns]
    return table


def targets(b: Bench) -> str:
    lines = ["| target | wanted | reached | met |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(v.row()) + " |" for v in b.verdicts]
    return "\n".join(lines)


def notes(b: Bench) -> list[str]:
    lines = [f"TROUBLE: {t} ({b.troubles.count(t)} rounds)" for t in sorted(set(b.troubles))]
    return lines + [f"Remark: {t} ({b.remarks.count(t)} times)" for t in sorted(set(b.remarks))]


def markdown(b: Bench, run: Run) -> str:
    parts = ["# Measurements", run.head()]
    if b.verdicts:
        parts += ["## Targets", targets(b)]
    if b.summary:
        parts += ["## Servers beside each other", front(b).rows_markdown(),
                  "Median (least–most). The same bytes per event; one processor for each server."]
    parts += [f"![{p.title}]({p.name}.svg)" for p in b.plots]
    parts += ["## Tables"] + [t.markdown() for tables in run.tables.values() for t in tables]
    parts.append("Seconds: " + ", ".join(f"{k} {v:.0f}" for k, v in run.seconds.items()) + ".")
    if notes(b):
        parts += ["## Remarks", "\n".join("* " + line for line in notes(b))]
    return "\n\n".join(parts) + "\n"


def as_json(b: Bench, run: Run) -> dict[str, Any]:
    return {
        "machine": run.machine, "command": run.command, "began": run.began,
        "versions": run.versions, "absent": run.absent, "load_before": run.load_before,
        "load_after": run.load_after, "seconds": run.seconds,
        "targets": [{"what": v.what, "limit": v.most, "at_least": v.at_least, "values": v.values,
                     "unit": v.unit, "met": v.met} for v in b.verdicts],
        "summary": b.summary,
        "tables": {name: [t.as_json() for t in tables] for name, tables in run.tables.items()},
        "plots": [p.as_json() for p in b.plots],
        "troubles": b.troubles, "remarks": b.remarks,
    }


def write(directory: Path, b: Bench, run: Run) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.md").write_text(markdown(b, run))
    (directory / "report.json").write_text(json.dumps(as_json(b, run), indent=1) + "\n")
    for plot in b.plots:
        (directory / f"{plot.name}.svg").write_text(plot.svg())
