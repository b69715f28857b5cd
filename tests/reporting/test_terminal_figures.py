"""Figures for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from balpoe.reporting.terminal_figures import Point, bar, figure_width
from balpoe.reporting.terminal_figures import scatter as scatter_of_width

WIDTH = 63
"""With an axis of one character, 60 are left for the points."""


def scatter(points: Sequence[Point], x_label: str, y_label: str) -> str:
    return scatter_of_width(points, x_label, y_label, WIDTH)


def _cells(text: str) -> list[str]:
    """Return the rows of a scatter between its axes, from the top."""
    return [line.split("│", 1)[1] for line in text.splitlines() if "│" in line]


def test_a_scatter_draws_each_point_at_its_place() -> None:
    points = [Point(0.0, 0.0), Point(10.0, 1.0), Point(5.0, 1.0, "7")]
    text = scatter(points, "ECE %", "accuracy %")
    rows = _cells(text)
    assert rows[-1].index("·") == 0
    assert rows[0].index("·") == 59
    assert rows[0].index("7") == round(59 / 2)
    assert text.splitlines()[0].strip() == "accuracy %"
    assert text.splitlines()[-1].split() == ["0", "ECE", "%", "10"]
    moved = _cells(scatter([*points[:2], Point(6.0, 1.0, "7")], "", ""))
    assert moved[0].index("7") == round(59 * 0.6)


def test_the_axes_show_the_range_of_the_points() -> None:
    lines = scatter([Point(1.25, -3.0), Point(2.5, 20.0)], "x", "y").splitlines()
    assert lines[1].split("│")[0].strip() == "20"
    assert lines[-3].split("│")[0].strip() == "-3"
    assert {len(line.split("│")[0]) for line in lines if "│" in line} == {3}


def test_names_are_drawn_over_dots_and_beside_each_other() -> None:
    points = [Point(0.0, 0.0, "12"), Point(0.0, 0.0), Point(0.0, 0.0, "13"), Point(1.0, 1.0, "104")]
    rows = _cells(scatter(points, "", ""))
    assert rows[-1].split() == ["12", "13"]
    assert rows[0] == "104".rjust(60)


def test_a_name_without_room_is_left_out() -> None:
    points = [Point(1.0, 1.0, "104"), Point(1.0, 1.0, "105"), Point(0.0, 0.0)]
    assert _cells(scatter(points, "", ""))[0] == "104".rjust(60)


def test_a_single_point_is_in_the_middle() -> None:
    rows = _cells(scatter([Point(3.0, 3.0, "0")], "", ""))
    assert rows[-1 - 14 // 2] == "0".rjust(31)


@pytest.mark.parametrize(
    ("share", "drawn"),
    [(0.0, "    "), (0.5, "██  "), (0.53, "██▏ "), (1.0, "████"), (1.2, "████"), (-0.1, "    ")],
)
def test_a_bar_is_filled_to_its_share(share: float, drawn: str) -> None:
    assert bar(share, 4) == drawn


@pytest.mark.parametrize(("mark", "drawn"), [(0.0, "┃█  "), (0.5, "██┃ "), (1.0, "██ ┃")])
def test_a_bar_has_a_line_at_its_mark(mark: float, drawn: str) -> None:
    assert bar(0.5, 4, mark) == drawn


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_scatter_is_as_wide_as_asked_with_every_length_of_value(width: int) -> None:
    for high in (1.0, 0.0625, 123456.0):
        lines = scatter_of_width([Point(0, 0), Point(1, high)], "x", "y", width).splitlines()
        assert max(map(len, lines)) == width
        assert lines[1].endswith("·")


@pytest.mark.parametrize(("columns", "width"), [(20, 40), (40, 40), (97, 97), (200, 120)])
def test_figures_are_as_wide_as_the_terminal_within_limits(columns: int, width: int) -> None:
    assert figure_width(columns) == width
