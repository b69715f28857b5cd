"""Labels beside points, such that they cover neither each other nor the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE: Final = 7.5
_CHARACTER, _LINE, _GAP = 0.65 * _SIZE, 1.4 * _SIZE, 4.0
"""Width, height and distance from the point, in points of print."""

Box = tuple[float, float, float, float]


def label_points(
    axes: Axes,
    labels: Sequence[tuple[float, float, str]],
    others: Sequence[tuple[float, float]] = (),
) -> None:
    """Write each text beside its point (x, y), at the place that covers least of the other points.

    All points are plotted before, since their extent decides what overlaps.
    """
    width, height = (72 * side for side in _inches(axes))
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    places = [
        ((x - left) / (right - left) * width, (y - bottom) / (top - bottom) * height)
        for x, y in [*((x, y) for x, y, _ in labels), *others]
    ]
    taken: list[Box] = [(x - 3, y - 3, x + 3, y + 3) for x, y in places]
    for (x, y, text), (at_x, at_y) in zip(labels, places, strict=False):
        offsets = _offsets(_CHARACTER * len(text))
        boxes = [_box(at_x + dx, at_y + dy, text) for dx, dy in offsets]
        overlaps = [sum(_overlap(box, other) for other in taken) for box in boxes]
        outside = [box[0] < 0 or box[2] > width + 12 or box[3] > height + 8 for box in boxes]
        costs = [o + 1e3 * out for o, out in zip(overlaps, outside, strict=True)]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        axes.annotate(
            text,
            (x, y),
            xytext=offsets[best],
            textcoords="offset points",
            fontsize=_SIZE,
            verticalalignment="bottom",
        )


def _inches(axes: Axes) -> tuple[float, float]:
    """Return the width and height of the axes, less what their labels take."""
    figure, grid = axes.get_figure(root=True), axes.get_subplotspec()
    assert figure is not None
    rows, columns = (1, 1) if grid is None else grid.get_gridspec().get_geometry()
    width, height = figure.get_size_inches()
    return max(0.5, width / columns - 0.6), max(0.5, height / rows - 0.6)


def _offsets(width: float) -> list[tuple[float, float]]:
    """Return the places of the lower left corner of a text, the preferred first."""
    left, right, centre = -width - _GAP, _GAP, -width / 2
    above, below, level = 2.0, -_LINE - 2, -_LINE / 2
    near = [(right, above), (right, below), (left, above), (left, below)]
    near += [(centre, above + 3), (centre, below - 3), (right + 2, level), (left - 2, level)]
    return near + [
        (dx * 1.0, dy + step) for step in (9.0, -9.0, 18.0, -18.0) for dx, dy in near[:4]
    ]


def _box(x: float, y: float, text: str) -> Box:
    return x, y, x + _CHARACTER * len(text), y + _LINE


def _overlap(one: Box, other: Box) -> float:
    """Return the area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
