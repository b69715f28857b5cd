from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.console import Console, RenderableType

from balpoe.reporting.prediction_display import (
    PredictionDisplay,
    PredictionProgress,
    left_out_lines,
    predicted_classes_table,
    prediction_line,
)

Lines = Callable[[RenderableType], list[str]]


def test_the_line_has_the_pace_and_the_time_left() -> None:
    line = prediction_line(PredictionProgress(done=12_800, images=51_200, seconds=16.0))
    assert line == "12,800/51,200 images · 800 images/s · 0:48 left"


def test_without_a_terminal_every_tenth_part_gets_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with PredictionDisplay(Console(width=80)) as display:
        for done in range(256, 25_601, 256):
            display(PredictionProgress(done, 25_600, done / 100))
    shown = capsys.readouterr().out.splitlines()
    assert [line.split("/")[0] for line in shown] == [f"{n:,}" for n in range(2560, 25_601, 2560)]


def test_the_classes_that_were_predicted_most_often_come_first(lines: Lines) -> None:
    names = [f"class {y}" for y in range(12)]
    counts = [0, 300, *[10] * 10]
    shown = lines(predicted_classes_table(names, counts, [0.25, 0.5, *[0.025] * 10]))
    rows = [line.split() for line in shown if line.strip().startswith("class ")]
    assert rows[1] == ["class", "1", "300", "75.0", "50.0"]
    assert len(rows) == 11  # the head, and ten classes
    assert any("and 2 more" in line for line in shown)


def test_what_was_left_out_is_said_only_where_there_is_something() -> None:
    assert list(left_out_lines(0, ())) == []
    assert list(left_out_lines(1200, ("a.png: broken", "b.png: broken"))) == [
        "1,200 files were no images and were left out",
        "2 images were skipped; the first: a.png: broken",
    ]
