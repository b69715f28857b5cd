"""The places of the axes of a figure, from the lengths of their texts.

Sizes are in inches. matplotlib's constrained layout measures every text several times, which takes
longer than the drawing; the estimates here are exact enough, as browsers have other fonts anyway.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec
    from matplotlib.text import Text

_POINT: Final = 1 / 72
_WIDE, _NARROW, _LINE = 0.65, 0.36, 1.2
"""Width of a character and height of a line, in sizes of the font."""
_NARROW_CHARACTERS: Final = frozenset(" .,:;|!'()[]{}ijlftrI/-")
_TICK: Final = 7 * _POINT
"""The length of a tick and the gap to its text."""
_GAP: Final = 4 * _POINT
_BORDER: Final = 0.06
_BAR: Final = 0.16


@dataclass(frozen=True, slots=True)
class _Room:
    """What the texts of axes take on each side; `…_ticks` is what the tick labels alone take."""

    left_ticks: float = 0.0
    left: float = 0.0
    right: float = 0.0
    bottom_ticks: float = 0.0
    bottom: float = 0.0
    top: float = 0.0


def arrange(figure: Figure) -> None:
    """Place all axes of a figure in rows and columns, with room for their texts and the legends.

    The axes are those of one grid, and at most one without a place in it: that of a colour bar,
    which stands on the right. Labels of axes in a row or column are aligned.
    """
    grid = [(axes, place) for axes in figure.axes if (place := axes.get_subplotspec()) is not None]
    bar = next((axes for axes in figure.axes if axes.get_subplotspec() is None), None)
    width, height = figure.get_size_inches()
    above, below = _legend_heights(figure)
    bar_room = None if bar is None else _room(bar)
    beside = 0.0 if bar_room is None else 2 * _BORDER + _BAR + bar_room.right
    rooms = [(axes, place, _room(axes)) for axes, place in grid]
    cells = grid[0][1].get_gridspec()
    columns = _spans(
        [(place.colspan.start, room.left, room.right) for _, place, room in rooms],
        np.asarray(cells.get_width_ratios(), float).tolist(),
        _BORDER,
        width - beside - _BORDER,
    )
    rows = _spans(
        [(place.rowspan.start, room.top, room.bottom) for _, place, room in rooms],
        np.asarray(cells.get_height_ratios(), float).tolist(),
        above + _BORDER,
        height - below - _BORDER,
    )
    for axes, place, _ in rooms:
        left, right = columns[place.colspan.start]
        top, bottom = rows[place.rowspan.start]
        box = (left / width, 1 - bottom / height, (right - left) / width, (bottom - top) / height)
        axes.set_position(box)
        _place_labels(axes, place, rooms)
    if bar is not None and bar_room is not None:
        top, bottom = rows[0][0], rows[-1][1]
        left = width - _BORDER - bar_room.right - _BAR
        bar.set_position((left / width, 1 - bottom / height, _BAR / width, (bottom - top) / height))


def _spans(
    rooms: Sequence[tuple[int, float, float]], ratios: Sequence[float], start: float, end: float
) -> list[tuple[float, float]]:
    """Return where each row or column begins and ends, between `start` and `end`.

    Args:
        rooms: For each axes its row or column, the room before and the room after it.
        ratios: The relative lengths of the rows or columns.
        start: The place of the border before the first, which counts from the left or the top.
        end: The place of the border after the last.
    """
    before = [max((b for n, b, _ in rooms if n == at), default=0.0) for at in range(len(ratios))]
    after = [max((a for n, _, a in rooms if n == at), default=0.0) for at in range(len(ratios))]
    gaps = _BORDER * (len(ratios) - 1)
    free = max(0.1 * (end - start), end - start - gaps - sum(before) - sum(after))
    spans = []
    for ratio, room_before, room_after in zip(ratios, before, after, strict=True):
        begin = start + room_before
        spans.append((begin, begin + free * ratio / sum(ratios)))
        start = spans[-1][1] + room_after + _BORDER
    return spans


def _place_labels(
    axes: Axes, place: SubplotSpec, rooms: Sequence[tuple[Axes, SubplotSpec, _Room]]
) -> None:
    """Put the labels beyond the longest tick labels of their row and column."""
    from matplotlib.transforms import ScaledTranslation

    figure = axes.get_figure(root=True)
    assert figure is not None
    left = max(r.left_ticks for _, p, r in rooms if p.colspan.start == place.colspan.start) + _GAP
    down = max(r.bottom_ticks for _, p, r in rooms if p.rowspan.start == place.rowspan.start) + _GAP
    inches = figure.dpi_scale_trans
    axes.xaxis.set_label_coords(0.5, 0, axes.transAxes + ScaledTranslation(0, -down, inches))
    axes.yaxis.set_label_coords(0, 0.5, axes.transAxes + ScaledTranslation(-left, 0, inches))


def _room(axes: Axes) -> _Room:
    if not axes.get_visible() or not axes.axison:
        return _Room()
    below, beside = list(_tick_labels(axes.xaxis)), list(_tick_labels(axes.yaxis))
    is_right = axes.yaxis.get_ticks_position() == "right"
    ticks = max((_size(text)[0] for text in beside), default=-_TICK) + _TICK
    label = _size(axes.yaxis.label)[1]
    vertical = ticks + (label + _GAP if label else 0.0)
    bottom_ticks = max((_size(text)[1] for text in below), default=-_TICK) + _TICK
    label = _size(axes.xaxis.label)[1]
    bottom = bottom_ticks + (label + _GAP if label else 0.0)
    title = _size(axes.title)[1]
    half = max((_size(text)[0] / 2 for text in (*below[:1], *below[-1:])), default=0.0)
    line = max((_size(text)[1] / 2 for text in beside), default=0.0)
    return _Room(
        left_ticks=0.0 if is_right else ticks,
        left=half if is_right else max(half, vertical),
        right=max(half, vertical if is_right else 0.0),
        bottom_ticks=bottom_ticks,
        bottom=max(line, bottom),
        top=max(line, title + 6 * _POINT if title else 0.0),
    )


def _tick_labels(axis: XAxis | YAxis) -> Iterator[Text]:
    """Yield the labels of the ticks that are in view, from low to high."""
    if not axis.get_visible():
        return
    axis.get_majorticklabels()  # brings the ticks up to date
    low, high = sorted(axis.get_view_interval())
    slack = 1e-6 * (high - low)
    is_second = axis.get_ticks_position() in ("right", "top")
    for tick in axis.get_major_ticks():
        text = tick.label2 if is_second else tick.label1
        if low - slack <= tick.get_loc() <= high + slack and text.get_visible():
            yield text


def _size(text: Text) -> tuple[float, float]:
    """Return the estimated width and height of a text; for a label of a y axis, before it turns."""
    if not text.get_text():
        return 0.0, 0.0
    lines = text.get_text().split("\n")
    em = float(text.get_fontsize()) * _POINT
    width = em * max(
        sum(_NARROW if each in _NARROW_CHARACTERS else _WIDE for each in line) for line in lines
    )
    height = em * _LINE * len(lines)
    if text.get_rotation_mode() == "anchor":  # a label of a y axis
        return width, height
    angle = math.radians(text.get_rotation())
    across, along = abs(math.cos(angle)), abs(math.sin(angle))
    return width * across + height * along, width * along + height * across


def _legend_heights(figure: Figure) -> tuple[float, float]:
    """Return the heights of the legends above and below the axes."""
    above = below = 0.0
    for legend in figure.legends:
        box = legend.get_window_extent()
        height = box.height / figure.dpi
        if box.y0 + box.y1 > figure.bbox.height:
            above += height
        else:
            below += height
    return above, below
