"""Figures for a terminal, drawn with characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_HEIGHT: Final = 14
_LEAST_WIDTH, _MOST_WIDTH = 40, 120
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_POINT: Final = "·"
_LEFT_AXIS: Final = " │"


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a scatter; it is drawn as its `name`, or as a dot if it has none."""

    x: float
    y: float
    name: str = ""


def figure_width(columns: int) -> int:
    """Return the width of a figure in a terminal of `columns`: all of them within 40 to 120."""
    return min(_MOST_WIDTH, max(_LEAST_WIDTH, columns))


def scatter(points: Sequence[Point], x_label: str, y_label: str, width: int) -> str:
    """Return a scatter of at least one point, with the smallest and largest values at the axes.

    `width` is the number of characters of a line, with the values at the left axis.
    Names are drawn over dots. A name moves to the right where its place has another name; names for
    which there is no room are left out.
    """
    y_axis = _Axis.of([point.y for point in points], _HEIGHT)
    margin = max(len(text) for text in y_axis.ends)
    x_axis = _Axis.of([point.x for point in points], width - margin - len(_LEFT_AXIS))
    cells = [[" "] * x_axis.cells for _ in range(_HEIGHT)]
    for point in points:
        if not point.name:
            cells[-1 - y_axis.place(point.y)][x_axis.place(point.x)] = _POINT
    for point in points:
        if point.name:
            _write_name(cells[-1 - y_axis.place(point.y)], x_axis.place(point.x), point.name)
    return "\n".join(_with_axes(cells, margin, x_axis, y_axis, x_label, y_label))


def bar(share: float, width: int, mark: float | None = None) -> str:
    """Return a bar of `width` characters that is filled to `share`, with a line at `mark`.

    Args:
        share: The filled part, in [0, 1].
        width: The characters of a bar of share 1.
        mark: The place of the line, in [0, 1]; None for no line.
    """
    eighths = round(8 * width * min(1.0, max(0.0, share)))
    whole, rest = divmod(eighths, 8)
    cells = list(("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width))
    if mark is not None:
        cells[min(width - 1, int(width * max(0.0, mark)))] = "┃"
    return "".join(cells)


@dataclass(frozen=True, slots=True)
class _Axis:
    """The values from `low` to `high` on `cells` characters."""

    low: float
    high: float
    cells: int

    @classmethod
    def of(cls, values: Sequence[float], cells: int) -> _Axis:
        return cls(min(values), max(values), cells)

    @property
    def ends(self) -> tuple[str, str]:
        """The lowest and the highest value."""
        return f"{self.low:.4g}", f"{self.high:.4g}"

    def place(self, value: float) -> int:
        if self.high == self.low:
            return self.cells // 2
        return round((self.cells - 1) * (value - self.low) / (self.high - self.low))


def _write_name(row: list[str], place: int, name: str) -> None:
    """Write `name` into `row`, at `place` or to the right of the names there, if there is room."""
    place = min(place, len(row) - len(name))
    while place + len(name) <= len(row):
        # a space on both sides, so that two numbers are not read as one
        around = row[max(0, place - 1) : place + len(name) + 1]
        if all(cell in {" ", _POINT} for cell in around):
            row[place : place + len(name)] = name
            return
        place += 1


def _with_axes(
    cells: Sequence[Sequence[str]],
    margin: int,
    x_axis: _Axis,
    y_axis: _Axis,
    x_label: str,
    y_label: str,
) -> list[str]:
    """Return the lines of a scatter, of which `margin` characters are the values at the left."""
    low, high = y_axis.ends
    texts = [high, *[""] * (len(cells) - 2), low]
    lines = [
        f"{text:>{margin}}{_LEFT_AXIS}{''.join(row)}".rstrip()
        for text, row in zip(texts, cells, strict=True)
    ]
    left, right = x_axis.ends
    below = f"{left}{x_label.center(x_axis.cells - len(left) - len(right))}{right}"
    indent = " " * margin
    return [f"{indent}  {y_label}", *lines, f"{indent} └{'─' * x_axis.cells}", f"{indent}  {below}"]
