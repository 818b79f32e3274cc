# SPDX-License-Identifier: PostgreSQL
"""Rounds to medians, and medians to Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any


def number(value: float) -> str:
    """Three digits that mean something."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values: list[float]) -> str:
    """Median, and the least and the most when there were several."""
    if not values:
        return "–"
    middle = number(median(values))
    if len(values) == 1 or min(values) == max(values):
        return middle
    return f"{middle} ({number(min(values))}–{number(max(values))})"


@dataclass
class Table:
    """One scenario's result. A cell is a list of the rounds' values, or text."""

    title: str
    columns: list[str]
    rows: list[list[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: Any) -> None:
        self.rows.append(list(cells))

    def rows_markdown(self) -> str:
        lines = ["| " + " | ".join(self.columns) + " |"]
        lines.append("|" + "---|" * len(self.columns))
        for row in self.rows:
            cells = [spread(cell) if isinstance(cell, list) else str(cell) for cell in row]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", self.rows_markdown()]
        lines += ["", *self.notes] if self.notes else []
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return {"title": self.title, "columns": self.columns, "rows": self.rows, "notes": self.notes}


def ratios(ours: list[float], limit: list[float]) -> list[float]:
    """Round by round: what disturbed one round disturbed both."""
    return [a / b for a, b in zip(ours, limit) if b]
