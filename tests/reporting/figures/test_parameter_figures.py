from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from balpoe.reporting.figures.parameter_figures import (
    importance,
    parallel_coordinates,
    parameters,
)
from balpoe.study.search.importance import Importance
from tests.reporting.figures.invented_study import ACCURACY, ECE, invented_spec, invented_trials

SPEC = invented_spec()
TRIALS = invented_trials(SPEC, 10)
PATHS = list(SPEC.search)
CHOICES = {"shared": 0.0, "independent": 1.0}


def _place(value: object) -> float:
    return CHOICES[value] if isinstance(value, str) else float(value)  # type: ignore[arg-type]


def test_each_panel_has_one_parameter_against_one_objective() -> None:
    drawing = parameters(SPEC, TRIALS)
    assert drawing is not None
    panels = iter(drawing.figure.axes)
    for path in PATHS:
        for objective in (ACCURACY, ECE):
            panel = next(panels)
            assert panel.get_xlabel() == path
            drawn = np.vstack([c.get_offsets() for c in panel.collections])
            expected = [
                (_place(r.parameters[path]), 100 * r.objectives[objective])
                for r in TRIALS
                if r.objectives is not None
            ]
            assert np.array(sorted(map(tuple, drawn))) == pytest.approx(np.array(sorted(expected)))
    by_path = dict(zip(PATHS, drawing.figure.axes[::2], strict=True))
    assert by_path["training.learning_rate"].get_xscale() == "log"
    ticks = by_path["training.learning_rate"].get_xticklabels()
    assert not any("$" in tick.get_text() for tick in ticks), "math is not parsed in this style"
    names = [tick.get_text() for tick in by_path["experts.sharing"].get_xticklabels()]
    assert names == list(CHOICES)
    low, high = by_path["experts.spread"].get_xlim()
    assert low <= 0
    assert high >= 2, "the axis spans the search space"


def test_a_changed_record_moves_one_point_of_each_of_its_panels() -> None:
    moved = {**TRIALS[4].parameters, "experts.spread": 1.2345}
    changed = [replace(r, parameters=moved) if r is TRIALS[4] else r for r in TRIALS]
    drawing = parameters(SPEC, changed)
    assert drawing is not None
    panel = drawing.figure.axes[2]
    assert 1.2345 in np.vstack([c.get_offsets() for c in panel.collections])[:, 0]


def test_trials_without_a_parameter_are_left_out_and_counted() -> None:
    lacking = {k: v for k, v in TRIALS[0].parameters.items() if k != "experts.spread"}
    records = [replace(TRIALS[0], parameters=lacking), *TRIALS[1:]]
    drawing = parameters(SPEC, records)
    assert drawing is not None
    panel = drawing.figure.axes[2]
    assert sum(len(np.asarray(c.get_offsets())) for c in panel.collections) == len(TRIALS) - 1
    assert "Trials without the parameter: experts.spread in 1." in drawing.caption
    lines = parallel_coordinates(SPEC, records)
    assert lines is not None
    drawn = [np.asarray(line.get_ydata(), float) for line in lines.figure.axes[0].lines]
    gaps = [int(np.isnan(line).sum()) for line in drawn]
    assert sorted(gaps) == [0] * (len(TRIALS) - 1) + [1]


def test_known_points_outside_of_the_search_space_are_within_the_axes() -> None:
    outside = replace(TRIALS[0], parameters={**TRIALS[0].parameters, "experts.spread": 5.0})
    drawing = parameters(SPEC, [outside, *TRIALS[1:]])
    assert drawing is not None
    assert drawing.figure.axes[2].get_xlim()[1] > 5
    other = replace(TRIALS[0], parameters={**TRIALS[0].parameters, "experts.sharing": "none"})
    assert parameters(SPEC, [other, *TRIALS[1:]]) is not None
    assert parallel_coordinates(SPEC, [other, *TRIALS[1:]]) is not None


def test_each_line_has_the_values_of_a_trial_between_those_of_the_others() -> None:
    drawing = parallel_coordinates(SPEC, TRIALS)
    assert drawing is not None
    (axes,) = drawing.figure.axes
    drawn = sorted(tuple(np.asarray(line.get_ydata(), float)) for line in axes.lines)
    columns = [[_place(r.parameters[path]) for r in TRIALS] for path in PATHS[:-1]]
    columns.append([math.log(float(r.parameters[PATHS[-1]])) for r in TRIALS])
    columns += [[(r.objectives or {})[name] for r in TRIALS] for name in (ACCURACY, ECE)]
    table = np.array(columns).T
    span = table.max(axis=0) - table.min(axis=0)
    expected = sorted(map(tuple, (table - table.min(axis=0)) / span))
    assert np.array(drawn) == pytest.approx(np.array(expected))
    labels = [tick.get_text().replace(".\n", ".") for tick in axes.get_xticklabels()]
    assert labels[: len(PATHS)] == PATHS
    texts = {text.get_text() for text in axes.texts}
    assert {"shared", "independent"} <= texts
    assert f"{100 * table[:, -1].max():.3g}" in texts


def test_two_trials_are_the_fewest_for_parallel_coordinates() -> None:
    assert parallel_coordinates(SPEC, TRIALS[:1]) is None
    assert parallel_coordinates(SPEC, TRIALS[:2]) is not None
    assert parameters(SPEC, []) is None


def test_bars_are_the_shares_of_each_objective_and_a_reason_stands_for_none() -> None:
    found = (
        Importance(ACCURACY, 10, {"experts.count": 0.75, "experts.spread": 0.25}),
        Importance(ECE, 10, {"experts.spread": 0.6, "experts.count": 0.4}),
        Importance("val/nll", 10, {}, "all trials have the same value"),
    )
    drawing = importance(found)
    assert drawing is not None
    (axes,) = drawing.figure.axes
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["experts.count", "experts.spread"]
    widths = [[bar.get_width() for bar in group] for group in axes.containers]
    assert widths == [[75, 25], [40, 60]]
    assert "on 10 COMPLETE trials" in drawing.caption
    assert "None for NLL: all trials have the same value." in drawing.caption
    assert importance(found[2:]) is None
