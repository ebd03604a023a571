"""Three plots of a run, as SVG: figures beside their goals, and time and memory by the number of sets.

Drawn here, with bars, lines and text: pygal hooks itself into every later import, with a warning each, and matplotlib
would bring ten packages for three pictures that nobody zooms into.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from bench.rows import Row

_YES, _NO, _GRID, _TEXT = "#2e7d32", "#c62828", "#d0d0d0", "#202020"
_COLOURS = ("#1565c0", "#ef6c00", "#6a1b9a", "#00838f", "#ad1457", "#558b2f", "#4e342e", "#37474f")
_MOST = 150.0  # percent: what is further away is told by its text
# By unit: name, title and axis.
_CURVES = {
    "s": ("time", "Time by number of sets", "seconds"),
    "MB PSS": ("memory", "Memory by number of sets", "MB PSS"),
}

_GOALS = {"s": "goal of a restart", "MB PSS": "goal"}
Curve = list[tuple[float, float]]


def charts(rows: Sequence[Row]) -> dict[str, str]:
    """The plots for which there are figures, by name (`goals`, `time`, `memory`).

    Goals of nothing at all (no write, none twice) have no bar: it would have no length.
    """
    asked = [row for row in rows if row.goal is not None and row.goal.limit]
    found = {"goals": _bars("Figures beside their goals: percent of what is allowed", asked)} if asked else {}
    for unit, (name, title, axis) in _CURVES.items():
        if curves := _curves([row for row in rows if row.unit == unit and row.curve]):
            found[name] = _lines(title, axis, curves)
    return found


def _bars(title: str, rows: Sequence[Row]) -> str:
    """A bar for each row; 100 % is the goal itself, a goal that was missed is red."""
    left, top, step, wide = 640, 46, 22, 600
    bottom = top + step * len(rows)

    def x(percent: float) -> float:
        return left + wide * percent / _MOST

    parts = [_text(16, 20, title, size=16)]
    for percent in range(0, int(_MOST) + 1, 25):
        parts.append(_line([(x(percent), top - 4), (x(percent), bottom)], _TEXT if percent == 100 else _GRID))
        parts.append(_text(x(percent), top - 8, f"{percent}", anchor="middle"))
    for number, row in enumerate(rows):
        y = top + step * number
        length = x(min(_MOST, 100 * (row.of_limit or 0.0))) - left
        colour = _YES if row.met else _NO
        size = f'width="{length:.1f}" height="{step - 6}"'
        parts.append(f'<rect x="{left}" y="{y + 3}" {size} fill="{colour}" opacity="0.55"/>')
        parts.append(_text(left - 8, y + 15, f"{row.part}: {row.what}", anchor="end"))
        parts.append(_text(left + 6, y + 15, row.beside))
    return _svg(left + wide + 30, bottom + 16, parts)


def _curves(rows: Sequence[Row]) -> dict[str, Curve]:
    """Points by curve; of a row with a floor, or with a goal of its own unit, those of them as well."""
    found: dict[str, Curve] = {}
    for row in rows:
        points = {row.curve: row.ours, f"{row.curve}: floor": row.floor}
        points[_GOALS[row.unit]] = None if row.goal is None or row.floor is not None else row.goal.limit
        for name, value in points.items():
            if value is not None:
                found.setdefault(name, []).append((row.sets, value))
    return {name: sorted(set(points)) for name, points in found.items()}


def _lines(title: str, axis: str, curves: Mapping[str, Curve]) -> str:
    """A line for each curve; those of floors and goals are dashed."""
    left, top, wide, high = 70, 46, 760, 340
    points = list(itertools.chain.from_iterable(curves.values()))
    most = max(x for x, _ in points)
    ticks = _ticks(max(y for _, y in points))

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return left + wide * point[0] / most, top + high * (1 - point[1] / ticks[-1])

    parts = [_text(left, 20, title, size=16), _text(left + wide, top + high + 36, "sets", anchor="end")]
    parts.append(_text(left - 50, top - 12, axis))
    for tick in ticks:
        parts.append(_line([place((0, tick)), place((most, tick))], _GRID))
        parts.append(_text(left - 6, place((0, tick))[1] + 4, f"{tick:g}", anchor="end"))
    parts += [
        _text(place((x, 0))[0], top + high + 18, f"{x:,.0f}", anchor="middle") for x in sorted({x for x, _ in points})
    ]
    for number, (name, curve) in enumerate(curves.items()):
        colour = _NO if name in _GOALS.values() else _COLOURS[number % len(_COLOURS)]
        dashed = name in _GOALS.values() or name.endswith(": floor")
        places = [place(point) for point in curve]
        parts.append(_line(places, colour, width=2, dashed=dashed))
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        y = top + high + 52 + 18 * number
        parts += [_line([(left, y), (left + 30, y)], colour, width=2, dashed=dashed), _text(left + 38, y + 4, name)]
    return _svg(left + wide + 40, top + high + 60 + 18 * len(curves), parts)


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 to a little more than the most; at most ten steps."""
    step = 10 ** math.floor(math.log10(most)) / 2
    if most / step > 10:
        step *= 4
    return [step * number for number in range(math.ceil(most / step) + 1)]


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 11) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{_TEXT}"'
    return f"<text {place}>{escape(text)}</text>"


def _line(points: Sequence[tuple[float, float]], colour: str, *, width: int = 1, dashed: bool = False) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="6 4"' if dashed else ""
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    head = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" font-family="sans-serif"'
    return "\n".join([f"<svg {head}>", '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])
