from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from balpoe.config import Direction, IntParameter, StudySpec
from balpoe.reporting.figures.drawing import Drawing
from balpoe.reporting.figures.front_figures import front
from balpoe.study.trials.record import TrialRecord
from tests.reporting.figures.invented_study import (
    ACCURACY,
    ECE,
    RECALL,
    invented_record,
    invented_spec,
    invented_trials,
)

SPEC = invented_spec()
VALUES = [(0.9, 0.05), (0.8, 0.02), (0.7, 0.06)]
"""Accuracy and ECE; the last trial is dominated."""


def _trials() -> list[TrialRecord]:
    return [invented_record(n, {ACCURACY: a, ECE: e}) for n, (a, e) in enumerate(VALUES)]


def _drawn(records: Sequence[TrialRecord], spec: StudySpec = SPEC) -> Drawing:
    drawing = front(spec, records)
    assert drawing is not None
    return drawing


def _points(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each group, by its name in the legend."""
    groups = [group for group in axes.containers if isinstance(group, ErrorbarContainer)]
    drawn = [np.round(np.asarray(group.lines[0].get_xydata()), 6) for group in groups]
    return {
        str(group.get_label()): [(float(x), float(y)) for x, y in points]
        for group, points in zip(groups, drawn, strict=True)
    }


def test_points_are_the_means_in_percent_and_the_front_is_named() -> None:
    drawing = _drawn(_trials())
    (axes,) = drawing.figure.axes
    assert _points(axes) == {"on the front": [(90, 5), (80, 2)], "trial": [(70, 6)]}
    assert [text.get_text() for text in axes.texts] == ["0", "1"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("balanced accuracy %", "balanced ECE %")
    assert "n = 1 seed each, hence no intervals" in drawing.caption
    assert "trial 0: balanced accuracy 90.0 %, balanced ECE 5.0 %" in drawing.alternative


def test_a_changed_record_moves_its_point_and_leaves_the_others() -> None:
    changed = [*_trials()[:2], invented_record(2, {ACCURACY: 0.95, ECE: 0.06})]
    points = _points(_drawn(changed).figure.axes[0])
    assert points == {"on the front": [(90, 5), (80, 2), (95, 6)]}


def test_bars_are_one_standard_deviation_over_the_seeds() -> None:
    seeds = [0.9, 0.94, 0.86]
    repeats = [
        invented_record(0, {ACCURACY: value, ECE: 0.05}, repeat=r) for r, value in enumerate(seeds)
    ]
    drawing = _drawn([*repeats, *_trials()[1:]])
    group = next(c for c in drawing.figure.axes[0].containers if c.get_label() == "on the front")
    assert isinstance(group, ErrorbarContainer)
    horizontal, vertical = (bars.get_segments() for bars in group.lines[2])
    sd = 100 * statistics.stdev(seeds)
    assert horizontal[0][:, 0] == pytest.approx([90 - sd, 90 + sd])
    assert vertical[0][:, 1] == pytest.approx([5, 5])
    assert "over n = 1 or 3 seeds" in drawing.caption


def test_known_points_have_their_names() -> None:
    spec = invented_spec(
        search={"experts.count": IntParameter(low=1, high=7)},
        known_points={"bagging": {"experts.count": 2}},
    )
    records = [
        invented_record(0, {ACCURACY: 0.7, ECE: 0.06}, parameters={"experts.count": 2}),
        invented_record(1, {ACCURACY: 0.9, ECE: 0.05}, parameters={"experts.count": 3}),
    ]
    (axes,) = _drawn(records, spec).figure.axes
    assert _points(axes) == {"known point": [(70, 6)], "on the front": [(90, 5)]}
    assert {text.get_text() for text in axes.texts} == {"0 bagging", "1"}


def test_trials_that_break_a_constraint_are_drawn_apart() -> None:
    bad = invented_record(3, {ACCURACY: 0.99, ECE: 0.01}, violations={"parameters <= 10": 0.5})
    drawing = _drawn([*_trials(), bad])
    points = _points(drawing.figure.axes[0])
    assert points["breaks a constraint"] == [(99, 1)]
    assert points["on the front"] == [(90, 5), (80, 2)]
    assert "3 feasible trials, of which 2 are on the front, and 1 that break" in drawing.caption
    assert _drawn([bad]).alternative == "No trial is feasible."


def test_one_objective_is_drawn_over_the_trials() -> None:
    spec = invented_spec({ACCURACY: "maximize"})
    records = [invented_record(n, {ACCURACY: a}) for n, (a, _) in enumerate(VALUES)]
    (axes,) = _drawn(records, spec).figure.axes
    assert axes.get_xlabel() == "trial"
    assert _points(axes) == {"on the front": [(0, 90)], "trial": [(1, 80), (2, 70)]}


def test_every_pair_of_objectives_has_a_panel_and_names_of_classes_are_text() -> None:
    objectives: dict[str, Direction] = {ACCURACY: "maximize", ECE: "minimize", RECALL: "maximize"}
    spec = invented_spec(objectives)
    drawing = _drawn(invented_trials(spec, 9), spec)
    panels = [axes for axes in drawing.figure.axes if axes.axison]
    labels = ["balanced accuracy %", "balanced ECE %", "recall <script>$x_1$ %"]
    shown = [(axes.get_xlabel(), axes.get_ylabel()) for axes in panels]
    assert shown == list(itertools.combinations(labels, 2))
    svg = drawing.picture().svg
    assert "recall &lt;script&gt;$x_1$ %" in svg
    assert "<script" not in svg


def test_without_a_complete_trial_there_is_no_front() -> None:
    assert front(SPEC, []) is None
    assert front(SPEC, invented_trials(SPEC, 4, ["FAIL", "PRUNED", "RUNNING"])) is None


def test_labels_of_close_points_cover_neither_each_other_nor_the_points() -> None:
    close = [invented_record(n, {ACCURACY: 0.9 + n / 400, ECE: 0.1 + n / 400}) for n in range(4)]
    far = invented_record(9, {ACCURACY: 0.5, ECE: 0.3})
    drawing = _drawn([*close, far])
    (axes,) = drawing.figure.axes
    drawing.picture(png=True)  # which places the texts
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 4
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    points = axes.transData.transform([p for group in _points(axes).values() for p in group])
    assert not any(box.contains(x, y) for box in boxes for x, y in points)
