"""The places of axes, compared with the sizes that matplotlib measures in its own font."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import pytest
from matplotlib.transforms import Bbox

from balpoe.config import Direction
from balpoe.reporting.figures.class_figures import confusion
from balpoe.reporting.figures.drawing import Drawing
from balpoe.reporting.figures.prediction_drawings import prediction_drawings
from balpoe.reporting.figures.study_drawings import study_drawings
from balpoe.study.search.importance import Importance
from balpoe.study.trials.record import TrialState
from balpoe.training.epoch import EpochResult
from tests.reporting.figures.invented_study import (
    ACCURACY,
    RECALL,
    TWO,
    invented_spec,
    invented_trials,
)
from tests.reporting.figures.summaries import invented_summary
from tests.reporting.figures.test_distribution_figure import FINAL

STATES: tuple[TrialState, ...] = ("COMPLETE", "COMPLETE", "PRUNED", "FAIL", "RUNNING")
PIXELS = 3.0


def drawings() -> Iterator[Drawing]:
    history = [
        EpochResult(
            e, e, {f"{p}{m}": 0.1 * e for p in prefixes for m in ("confidence", "accuracy")}
        )
        for e in range(1, 9)
        for prefixes in [("val/", "val/expert_0/", "val/expert_1/", "val/expert_2/")]
    ]
    for experts, classes in ((1, 4), (3, 10), (7, 25), (2, 300)):
        summary = invented_summary(experts, classes)
        yield from prediction_drawings(summary, "trial 3", history=history, final=FINAL)
    every: tuple[Mapping[str, Direction], ...] = (
        {ACCURACY: "maximize"},
        TWO,
        {**TWO, RECALL: "maximize"},
    )
    for objectives in every:
        spec = invented_spec(objectives)
        found = [Importance(name, 9, {"experts.count": 0.6, "mixup.alpha": 0.4}) for name in TWO]
        yield from study_drawings(spec, invented_trials(spec, 30, STATES), found)


def boxes(drawing: Drawing) -> list[Bbox]:
    """Return what each axes takes with its texts, and each legend, in pixels."""
    axes = [each for each in drawing.figure.axes if each.get_visible() and each.axison]
    found = [*(each.get_tightbbox() for each in axes), *_legends(drawing)]
    return [box for box in found if box is not None]


def _legends(drawing: Drawing) -> Sequence[Bbox]:
    return [legend.get_window_extent() for legend in drawing.figure.legends]


@pytest.mark.parametrize("drawing", list(drawings()), ids=lambda drawing: drawing.name)
def test_axes_with_their_texts_cover_no_others_and_are_in_the_figure(drawing: Drawing) -> None:
    drawing.picture()
    page = drawing.figure.bbox
    found = boxes(drawing)
    for box in found:
        assert box.x0 >= -PIXELS
        assert box.y0 >= -PIXELS
        assert box.x1 <= page.x1 + PIXELS
        assert box.y1 <= page.y1 + PIXELS
    for one, other in itertools.combinations(found, 2):
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(width, height) <= PIXELS


@pytest.mark.parametrize("drawing", list(drawings()), ids=lambda drawing: drawing.name)
def test_labels_of_axes_are_beyond_their_tick_labels(drawing: Drawing) -> None:
    drawing.picture()
    for axes in drawing.figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if not (axes.get_visible() and axes.axison and axis.label.get_text()):
                continue
            label = axis.label.get_window_extent()
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                texts = [text for text in (tick.label1, tick.label2) if text.get_visible()]
                for text in texts:
                    if low <= tick.get_loc() <= high and text.get_text():
                        assert not label.overlaps(text.get_window_extent())


def test_axes_take_most_of_a_figure() -> None:
    drawing = confusion(invented_summary(3, 10), "trial 3")
    plot, bar = (axes.get_position() for axes in drawing.figure.axes)
    assert plot.width > 0.55
    assert plot.height > 0.7
    assert bar.x0 > plot.x1
    assert (bar.y0, bar.y1) == pytest.approx((plot.y0, plot.y1))
