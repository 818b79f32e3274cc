# SPDX-License-Identifier: PostgreSQL
"""Line plots as SVG, without a library: log or linear axes, a point with its spread, names at the
ends of the lines. Legible on a light and on a dark page."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from statistics import median

WIDTH, HEIGHT = 860, 470
LEFT, RIGHT, TOP, BOTTOM = 74, 226, 64, 58
# Told apart by colour-blind readers too, and by the marks.
COLOURS = ["#0b6bcb", "#7a7a7a", "#c2410c", "#8b5cf6", "#15803d", "#be185d", "#a16207", "#0e7490"]
MARKS = ["circle", "square", "diamond", "triangle"]


def _short(value: float) -> str:
    if value >= 1000 and value % 1000 == 0:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def _ticks(low: float, high: float, log: bool) -> list[float]:
    if log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < 300 else (1,)
        return [s * 10.0**p for p in powers for s in steps if low * 0.999 <= s * 10.0**p <= high * 1.001]
    step = 10 ** math.floor(math.log10(high / 4))
    step *= next(m for m in (1, 2, 5, 10) if high / (step * m) <= 6)
    return [step * i for i in range(int(high / step) + 1)]


@dataclass
class Plot:
    name: str  # of the file
    title: str
    subtitle: str
    x_label: str
    y_label: str
    log_x: bool = True
    log_y: bool = True
    x_ticks: list[float] | None = None
    series: dict[str, list[tuple[float, list[float]]]] = field(default_factory=dict)

    def add(self, label: str, x: float, values: list[float]) -> None:
        if values:
            self.series.setdefault(label, []).append((x, values))

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "title": self.title, "x": self.x_label, "y": self.y_label,
                "series": self.series}

    def _range(self) -> tuple[float, float, float, float]:
        xs = [x for points in self.series.values() for x, _ in points]
        ys = [y for points in self.series.values() for _, values in points for y in values]
        low = min(ys) / 1.25 if self.log_y else 0.0
        return min(xs), max(xs), low, max(ys) * (1.25 if self.log_y else 1.05)

    def svg(self) -> str:
        x0, x1, y0, y1 = self._range()
        if x0 == x1:
            x1 = x0 * 2

        def at(value: float, low: float, high: float, log: bool) -> float:
            if log:
                value, low, high = math.log(value), math.log(low), math.log(high)
            return (value - low) / (high - low)

        def px(x: float) -> float:
            return LEFT + 14 + at(x, x0, x1, self.log_x) * (WIDTH - LEFT - RIGHT - 28)

        def py(y: float) -> float:
            return HEIGHT - BOTTOM - at(y, y0, y1, self.log_y) * (HEIGHT - TOP - BOTTOM)

        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif" font-size="13">',
            f"<title>{escape(self.title)}</title>",
            "<style>text{fill:#222}.soft{fill:#555}.grid{stroke:#ddd}.page{fill:#fff}</style>",
            f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
            f'<text x="{LEFT}" y="26" font-size="17" font-weight="bold">{escape(self.title)}</text>',
            f'<text class="soft" x="{LEFT}" y="46">{escape(self.subtitle)}</text>',
        ]
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for y in _ticks(y0, y1, self.log_y):
            out.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{py(y):.1f}" y2="{py(y):.1f}"/>')
            out.append(f'<text class="soft" x="{LEFT - 8}" y="{py(y) + 4:.1f}" text-anchor="end">{_short(y)}</text>')
        for x in self.x_ticks or _ticks(x0, x1, self.log_x):
            out.append(f'<line class="grid" x1="{px(x):.1f}" x2="{px(x):.1f}" y1="{TOP}" y2="{bottom}"/>')
            out.append(f'<text class="soft" x="{px(x):.1f}" y="{bottom + 20}" text-anchor="middle">{_short(x)}</text>')
        middle = (LEFT + right) / 2
        out.append(f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">{escape(self.x_label)}</text>')
        half = (TOP + bottom) / 2
        out.append(f'<text x="20" y="{half}" text-anchor="middle" transform="rotate(-90 20 {half})">'
                   f"{escape(self.y_label)}</text>")
        ends = []
        for i, (label, points) in enumerate(self.series.items()):
            colour, mark = COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)]
            places = [(px(x), py(median(values))) for x, values in points]
            width = 3 if i == 0 else 1.8
            dash = ' stroke-dasharray="7 4"' if i == 1 else ""
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>')
            for (x, values), (a, b) in zip(points, places):
                out.append(f'<line x1="{a:.1f}" x2="{a:.1f}" y1="{py(min(values)):.1f}" '
                           f'y2="{py(max(values)):.1f}" stroke="{colour}" stroke-width="1.2"/>')
                out.append(_mark(mark, a, b, colour))
            ends.append([places[-1][1], places[-1][0], label, colour])
        out += _names(ends, right)
        return "\n".join([*out, "</svg>"]) + "\n"


def _mark(kind: str, x: float, y: float, colour: str) -> str:
    shapes = {"square": "-4,-4 4,-4 4,4 -4,4", "diamond": "0,-5.5 5.5,0 0,5.5 -5.5,0",
              "triangle": "0,-5.5 5,4 -5,4"}
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    return f'<polygon points="{shapes[kind]}" transform="translate({x:.1f} {y:.1f})" fill="{colour}"/>'


def _names(ends: list[list[object]], right: int) -> list[str]:
    """Each line's name right of its end, moved apart where they would overlap."""
    ends.sort(key=lambda e: float(str(e[0])))
    places = [float(str(e[0])) for e in ends]
    for _ in range(200):
        for i in range(1, len(places)):
            gap = 17 - (places[i] - places[i - 1])
            if gap > 0:
                places[i - 1] -= gap / 2
                places[i] += gap / 2
        if places:
            places[0] = max(places[0], TOP + 4)
            places[-1] = min(places[-1], HEIGHT - BOTTOM)
    out = []
    for y, (end_y, end_x, label, colour) in zip(places, ends):
        out.append(f'<line x1="{end_x:.1f}" y1="{end_y:.1f}" x2="{right + 6}" y2="{y:.1f}" '
                   f'stroke="{colour}" stroke-width="0.8" stroke-dasharray="2 3"/>')
        out.append(f'<text x="{right + 10}" y="{y + 4:.1f}" style="fill:{colour}">{escape(str(label))}</text>')
    return out
