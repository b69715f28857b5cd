from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from balpoe.config import HalvingConfig
from balpoe.reporting.figures.course_figures import failures, learning_curves, progress, timeline
from balpoe.reporting.figures.drawing import MUTED, PALETTE
from balpoe.study.trials.record import Attempt
from balpoe.training.epoch import EpochResult
from tests.reporting.figures.invented_study import (
    ACCURACY,
    ECE,
    invented_record,
    invented_spec,
    invented_trials,
)

SPEC = invented_spec()


def test_curves_are_the_histories_and_stopped_trials_are_marked() -> None:
    records = [
        invented_record(0, {ACCURACY: 0.9, ECE: 0.05}),
        invented_record(1, {ACCURACY: 0.8, ECE: 0.06}),
        invented_record(2, {ACCURACY: 0.3, ECE: 0.2}, "PRUNED", epochs=2),
        invented_record(3, {ACCURACY: 0.4, ECE: 0.3}, "FAIL", epochs=3),
        invented_record(4, {ACCURACY: 0.4, ECE: 0.3}, "FAIL", epochs=0),
        invented_record(0, {ACCURACY: 0.88, ECE: 0.05}, repeat=1),
    ]
    drawing = learning_curves(SPEC, records)
    assert drawing is not None
    left, right = drawing.figure.axes
    lines = {str(line.get_label()): line for line in left.lines}
    curve = lines["trial 0"].get_xydata()
    assert curve == pytest.approx(np.array([(e, 90 * e / 8) for e in range(1, 9)]))
    assert lines["trial 0"].get_color() == PALETTE[0]
    assert sum(line.get_color() == MUTED for line in left.lines) == 3
    assert lines["pruned"].get_xydata() == pytest.approx(np.array([(2, 30)]))
    assert lines["failed"].get_xydata() == pytest.approx(np.array([(3, 40)]))
    assert {str(line.get_label()): line for line in right.lines}["failed"].get_ydata() == [30]
    assert (left.get_ylabel(), right.get_ylabel()) == ("balanced accuracy %", "balanced ECE %")
    assert drawing.alternative == "Curves of 4 trials, of which 1 were pruned and 1 failed."


def test_epochs_at_which_trials_are_compared_are_dotted() -> None:
    spec = invented_spec(early_stopping=HalvingConfig(grace_epochs=2))
    drawing = learning_curves(spec, invented_trials(spec, 3))
    assert drawing is not None
    lines = drawing.figure.axes[0].lines
    dotted = [np.asarray(line.get_xdata()) for line in lines if line.get_linestyle() == ":"]
    assert [x[0] for x in dotted] == list(spec.rungs)
    assert spec.rungs


def test_the_timeline_has_a_bar_from_start_to_end_in_the_first_free_lane() -> None:
    records = [
        invented_record(0, {ACCURACY: 0.9, ECE: 0.05}, started=60.0),
        invented_record(1, {ACCURACY: 0.9, ECE: 0.05}, "PRUNED", epochs=2, started=60.0),
        invented_record(0, {ACCURACY: 0.9, ECE: 0.05}, repeat=1, started=100.0),
        invented_record(2, {ACCURACY: 0.9, ECE: 0.05}, "RUNNING", epochs=3, started=160.0),
        invented_record(3, {ACCURACY: 0.9, ECE: 0.05}, "RUNNING", epochs=0, started=170.0),
    ]
    drawing = timeline(records)
    assert drawing is not None
    (axes,) = drawing.figure.axes
    bars = {
        str(group.get_label()): [
            (round(bar.get_y() + 0.4), 60 * bar.get_x(), 60 * bar.get_width()) for bar in group
        ]
        for group in axes.containers
    }
    assert bars["complete"] == [(0, 0.0, 85.0), (1, 40.0, 85.0)]
    assert bars["pruned"] == [(1, 0.0, 25.0)]
    assert bars["running"] == [(0, 100.0, pytest.approx(30.0))]
    assert {text.get_text() for text in axes.texts} == {"0", "1", "0.1", "2"}
    later = [replace(records[0], ended=300.0), *records[1:]]
    moved = timeline(later)
    assert moved is not None
    assert 60 * moved.figure.axes[0].containers[0][0].get_width() == pytest.approx(240.0)


def test_the_timeline_names_hosts_and_gpus_and_ends_an_attempt_with_its_last_epoch() -> None:
    """Trial 1 ran 20 s on b, whose worker died, and from 60 s on a, which trial 0 had left."""
    values = {ACCURACY: 0.9, ECE: 0.05}
    records = [
        invented_record(0, values, epochs=4, attempts=(Attempt(0, 1.0, "a", ("0",)),)),
        replace(
            invented_record(1, values, epochs=8),
            attempts=(Attempt(0, 2.0, "b"), Attempt(1, 60.0, "a", ("0",))),
            history=(
                *(EpochResult(e, 10.0 * e, values) for e in (1, 2)),
                *(EpochResult(e, 50.0 + 10 * e, values) for e in range(3, 9)),
            ),
            ended=135.0,
        ),
        invented_record(2, values, epochs=4, attempts=(Attempt(0, 3.0, "b"),)),
        invented_record(3, values, "FAIL", epochs=2),
    ]
    drawing = timeline(records)
    assert drawing is not None
    assert drawing.picture(png=True).png
    (axes,) = drawing.figure.axes
    bars = {
        str(group.get_label()): sorted(
            (round(bar.get_y() + 0.4), round(60 * bar.get_x(), 9), round(60 * bar.get_width(), 9))
            for bar in group
        )
        for group in axes.containers
    }
    assert bars["complete"] == [(1, 1, 44), (1, 60, 75), (2, 2, 18), (3, 3, 42)]
    assert bars["failed"] == [(0, 0, 25)]
    ticks = {label.get_text(): label.get_position()[1] for label in axes.get_yticklabels()}
    assert ticks == {"not recorded": 0, "a GPU 0": 1, "b": 2}
    assert "4 trials" in drawing.caption
    moved = timeline([replace(records[0], attempts=(Attempt(0, 1.0, "c"),)), *records[1:]])
    assert moved is not None
    assert "c" in {label.get_text() for label in moved.figure.axes[0].get_yticklabels()}


def test_the_timeline_has_room_for_the_names_of_many_hosts() -> None:
    values = {ACCURACY: 0.9, ECE: 0.05}
    drawing = timeline(
        [
            invented_record(n, values, epochs=4, attempts=(Attempt(0, 1.0, f"host {n}"),))
            for n in range(60)
        ]
    )
    assert drawing is not None
    (axes,) = drawing.figure.axes
    names = axes.get_yticklabels()
    assert len(names) == 60
    points = 72 * drawing.figure.get_size_inches()[1] * axes.get_position().height
    assert points / 60 > names[0].get_fontsize()


def test_progress_is_the_hypervolume_over_the_epochs_of_all_ended_trials() -> None:
    values = [(0.6, 0.2), (0.5, 0.3), (0.8, 0.25), (0.7, 0.1)]
    records = [
        invented_record(n, {ACCURACY: a, ECE: e}, started=100.0 * n)
        for n, (a, e) in enumerate(values)
    ]
    records.append(invented_record(4, {ACCURACY: 0.9, ECE: 0.0}, "PRUNED", epochs=2, started=170.0))
    drawing = progress(SPEC, records)
    assert drawing is not None
    (line,) = drawing.figure.axes[0].lines
    # the reference is accuracy 0.5 and ECE 0.3; the trial pruned after the second costs 2 epochs
    expected = [(8, 0.01), (16, 0.01), (26, 0.02), (34, 0.045)]
    assert line.get_xydata() == pytest.approx(np.array(expected))
    better = [*records[:3], invented_record(3, {ACCURACY: 0.7, ECE: 0.0}, started=300.0)]
    changed = progress(SPEC, better)
    assert changed is not None
    assert np.asarray(changed.figure.axes[0].lines[0].get_ydata())[-1] == pytest.approx(0.065)


def test_progress_of_one_objective_is_its_best_value() -> None:
    spec = invented_spec({ECE: "minimize"})
    records = [
        invented_record(n, {ECE: value}, started=100.0 * n)
        for n, value in enumerate([0.3, 0.1, 0.2])
    ]
    drawing = progress(spec, records)
    assert drawing is not None
    axes = drawing.figure.axes[0]
    assert axes.lines[0].get_xydata() == pytest.approx(np.array([(8, 30), (16, 10), (24, 10)]))
    assert axes.get_ylabel() == "best balanced ECE %"
    assert progress(spec, records[:1]) is None


def test_failures_are_counted_by_class() -> None:
    failed = [
        invented_record(n, {}, "FAIL", failure_class=kind)
        for n, kind in enumerate(["resource", "resource", "deterministic", None])
    ]
    drawing = failures([*failed, *invented_trials(SPEC, 4)])
    assert drawing is not None
    (axes,) = drawing.figure.axes
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    widths = [bar.get_width() for group in axes.containers for bar in group]
    counts = dict(zip(names, widths, strict=True))
    assert counts == {"resource": 2, "deterministic": 1, "not recorded": 1}
    assert drawing.caption == "4 of 8 trials and repeats failed."
    assert failures(invented_trials(SPEC, 4)) is None
