"""The drawn data of the figures of one trial or model, read back from the axes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.text import Text

from balpoe.evaluation.prediction_summary import (
    BinnedConfidences,
    PredictionSummary,
    WithoutExpert,
)
from balpoe.evaluation.summarising import prediction_summary
from balpoe.method.priors import class_prior
from balpoe.reporting.figures.class_figures import class_accuracy, confusion, marginals
from balpoe.reporting.figures.drawing import Drawing
from balpoe.reporting.figures.expert_figures import contributions, shots_by_expert
from balpoe.reporting.figures.prediction_drawings import prediction_drawings
from balpoe.reporting.figures.reliability import reliability_diagrams
from tests.reporting.figures.summaries import invented_summary
from tests.scalar_priors import scalar_priors

NAMES = [
    "<script>alert(1)</script>",
    "$x^2$",
    "two\nlines\x1b[31m",
    "a very long name of a class, " * 5,
    "مرحبا بالعالم",
    "日本",
    "",
]


def panel(drawing: Drawing, title: str) -> Axes:
    return next(axes for axes in drawing.figure.axes if axes.get_title().startswith(title))


def below(drawing: Drawing, axes: Axes) -> Axes:
    """Return the panel below `axes` in the grid."""
    place = axes.get_subplotspec()
    assert place is not None
    for other in drawing.figure.axes:
        spec = other.get_subplotspec()
        if spec is None or spec.colspan != place.colspan:
            continue
        if spec.rowspan.start == place.rowspan.stop:
            return other
    raise AssertionError("no panel below")


def line(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    found = next(each for each in axes.get_lines() if str(each.get_label()).startswith(label))
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def heights(axes: Axes, container: int = 0) -> list[float]:
    bars: Any = axes.containers[container]
    return [bar.get_height() for bar in bars]


def drawn_errors(drawing: Drawing, name: str) -> tuple[float, float]:
    """Return ECE and MCE that the bins in the panel of a scorer give."""
    axes = panel(drawing, name)
    weight = np.array(heights(below(drawing, axes)))
    confidence, accuracy = map(np.array, line(axes, "bins"))
    gap = np.nan_to_num(np.abs(accuracy - confidence))
    return float((weight / weight.sum() * gap).sum()), float(gap.max())


@pytest.mark.parametrize("images", [None, [10, 3, 0, 25, 1]], ids=["balanced", "unbalanced"])
@pytest.mark.parametrize("experts", [1, 3, 7])
def test_the_bins_give_the_ece_and_mce_that_are_printed(
    experts: int, images: list[int] | None
) -> None:
    summary = invented_summary(experts, 5, images=images)
    drawing = reliability_diagrams(summary, "trial 3")
    names = ["single expert"]
    if experts > 1:
        names = ["ensemble", *(f"expert {e}," for e in range(experts))]
    for name in names:
        ece, mce = drawn_errors(drawing, name)
        unit = "ECE" if images is None else "bal. ECE"
        title = panel(drawing, name).get_title()
        assert title.splitlines()[1] == f"{unit} {ece:.1f} %, MCE {mce:.1f} %"
        assert title.splitlines()[2] == "floor 3.1 ±0.4 %"
        assert f"{unit} {ece:.1f} %, MCE {mce:.1f} %" in drawing.alternative


def test_a_computed_summary_gives_the_errors_that_are_printed() -> None:
    generator = torch.Generator().manual_seed(1)
    summary = prediction_summary(
        3 * torch.randn(200, 2, 4, generator=generator),
        torch.arange(200) % 4,
        split="test",
        class_names=["a", "b", "c", "d"],
        class_counts=[200, 60, 20, 5],
        priors=scalar_priors(class_prior((200, 60, 20, 5)), (1.0, -1.0)),
        lambdas=[1.0, -1.0],
    )
    drawing = reliability_diagrams(summary, "model")
    for name, scorer in (("ensemble", summary.ensemble), ("expert 1", summary.experts[1])):
        errors = (100 * scorer.by_images.ece, 100 * scorer.by_images.mce)
        assert drawn_errors(drawing, name) == pytest.approx(errors)
    assert "200 test images of 4 classes" in drawing.caption
    assert len(prediction_drawings(summary, "model")) == 6


def test_experts_without_a_lambda_are_named_without_one() -> None:
    with_lambdas = invented_summary(2, 5)
    summary = replace(
        with_lambdas,
        ensemble=replace(with_lambdas.ensemble, lam=None),
        experts=tuple(replace(expert, lam=None) for expert in with_lambdas.experts),
    )
    axes = panel(reliability_diagrams(summary, "model"), "expert 1")
    assert axes.get_title().splitlines()[0] == "expert 1"
    for drawing in prediction_drawings(summary, "model"):
        texts = [text.get_text() for text in drawing.figure.findobj(Text)]
        assert not any("λ =" in text or "λ̄ =" in text for text in texts)


def test_a_bin_has_its_images_accuracy_and_confidence() -> None:
    summary = invented_summary(2, 5)
    drawing = reliability_diagrams(summary, "trial 3")
    axes = panel(drawing, "expert 1")
    bins = summary.experts[1].by_images
    assert heights(below(drawing, axes)) == list(bins.images)
    assert heights(axes) == [0 if a is None else 100 * a for a in bins.accuracy]
    x, y = line(axes, "bins")
    assert [None if math.isnan(v) else v / 100 for v in x] == pytest.approx(bins.confidence)
    assert [None if math.isnan(v) else v / 100 for v in y] == pytest.approx(bins.accuracy)
    assert "50 validation images of 5 classes, images weighted the same" in drawing.caption
    assert "15 bins" in drawing.caption


def test_another_bin_changes_the_diagram() -> None:
    summary = invented_summary(2, 5)
    bins = summary.experts[1].by_images
    accuracy = (*bins.accuracy[:-1], 0.123)
    moved = with_bins(summary, 1, replace(bins, accuracy=accuracy))
    axes = panel(reliability_diagrams(moved, "trial 3"), "expert 1")
    assert heights(axes)[-1] == pytest.approx(12.3)
    assert line(axes, "bins")[1][-1] == pytest.approx(12.3)


def test_unbalanced_images_are_weighted_by_class_and_both_errors_are_told() -> None:
    summary = invented_summary(2, 5, images=[10, 3, 2, 25, 1])
    drawing = reliability_diagrams(summary, "trial 3")
    axes = panel(drawing, "ensemble")
    expected = [100 * weight for weight in summary.ensemble.by_classes.weight]
    assert heights(below(drawing, axes)) == pytest.approx(expected)
    assert f"ECE {100 * summary.ensemble.by_images.ece:.1f} %" in drawing.caption


def with_bins(
    summary: PredictionSummary, expert: int, bins: BinnedConfidences
) -> PredictionSummary:
    experts = list(summary.experts)
    experts[expert] = replace(experts[expert], by_images=bins)
    return replace(summary, experts=tuple(experts))


def test_classes_stand_from_head_to_tail_with_their_accuracy_and_images() -> None:
    summary = invented_summary(3, 6, images=[10, 10, 0, 4, 10, 10])
    drawing = class_accuracy(summary, "trial 3")
    upper, lower = drawing.figure.axes
    order = sorted(range(6), key=lambda y: -summary.train_counts_c[y])
    assert heights(lower) == [summary.train_counts_c[y] for y in order]
    assert [text.get_text() for text in lower.get_xticklabels()] == [f"class {y}" for y in order]
    scorers = {"ensemble": summary.ensemble, "expert 2": summary.experts[2]}
    for name, scorer in scorers.items():
        drawn = [None if math.isnan(v) else v / 100 for v in line(upper, name)[1]]
        assert drawn == pytest.approx([scorer.recall_c[y] for y in order])
    recalls = {y: r for y, r in enumerate(summary.ensemble.recall_c) if r is not None}
    worst = min(recalls, key=lambda y: (recalls[y], y))
    assert f"Worst: class {worst}, {100 * recalls[worst]:.1f} %" in drawing.alternative


def test_many_classes_are_points_and_means() -> None:
    images = [y % 7 for y in range(1000)]
    summary = invented_summary(2, 1000, images=images)
    drawing = class_accuracy(summary, "trial 3")
    upper = drawing.figure.axes[0]
    order = sorted(range(1000), key=lambda y: -summary.train_counts_c[y])
    recalls = [summary.experts[1].recall_c[y] for y in order[:50]]
    known = [100 * recall for recall in recalls if recall is not None]
    x, y = line(upper, "expert 1")
    assert len(x) == 20
    assert x[0] == 24.5
    assert y[0] == pytest.approx(sum(known) / len(known))
    points = max(upper.get_lines(), key=lambda each: len(np.asarray(each.get_xdata())))
    assert len(np.asarray(points.get_xdata())) == 1000
    assert "20 groups of neighbouring classes" in drawing.caption


def test_another_recall_moves_a_class() -> None:
    summary = invented_summary(3, 6)
    head = max(range(6), key=lambda y: summary.train_counts_c[y])
    recall_c = tuple(0.77 if y == head else r for y, r in enumerate(summary.ensemble.recall_c))
    moved = replace(summary, ensemble=replace(summary.ensemble, recall_c=recall_c))
    upper = class_accuracy(moved, "trial 3").figure.axes[0]
    assert line(upper, "ensemble")[1][0] == pytest.approx(77)


@pytest.mark.parametrize("experts", [1, 3, 7])
def test_priors_and_marginals_are_drawn_for_each_scorer(experts: int) -> None:
    summary = invented_summary(experts, 6)
    drawing = marginals(summary, "trial 3")
    order = sorted(range(6), key=lambda y: -summary.train_counts_c[y])
    scorers = [summary.ensemble, *(summary.experts if experts > 1 else ())]
    for axes, scorer in zip(drawing.figure.axes, scorers, strict=False):
        target, estimated = line(axes, "target")[1], line(axes, "estimated")[1]
        assert target == pytest.approx([100 * scorer.target_prior_c[y] for y in order])
        assert estimated == pytest.approx([100 * scorer.marginal_c[y] for y in order])
        assert axes.get_title().endswith(f"KL {scorer.kl_to_target_prior:.3f}")
        assert f"{scorer.kl_to_target_prior:.3f}" in drawing.alternative
    changed = replace(summary.ensemble, marginal_c=(0.5, *summary.ensemble.marginal_c[1:]))
    moved = marginals(replace(summary, ensemble=changed), "trial 3").figure.axes[0]
    assert line(moved, "estimated")[1][order.index(0)] == pytest.approx(50)


def matrix(drawing: Drawing) -> Any:
    drawn: Any = drawing.figure.axes[0].get_images()[0].get_array()
    return np.ma.filled(drawn, 0)


def test_the_confusion_matrix_has_the_images_by_true_and_predicted_class() -> None:
    summary = invented_summary(3, 5)
    drawing = confusion(summary, "trial 3")
    order = sorted(range(5), key=lambda y: -summary.train_counts_c[y])
    drawn = matrix(drawing)
    expected = {(t, p): images for t, p, images in summary.confusion}
    for row, true in enumerate(order):
        for column, predicted in enumerate(order):
            assert drawn[row, column] == expected.get((true, predicted), 0)
    right = sum(images for t, p, images in summary.confusion if t == p)
    assert f"{right} of 50 images are on the diagonal" in drawing.alternative
    true, predicted, images = summary.confusion[0]
    other = replace(summary, confusion=((true, predicted, images + 7), *summary.confusion[1:]))
    assert matrix(confusion(other, "trial 3")).sum() == 57


def test_1000_classes_are_merged_in_the_confusion_matrix() -> None:
    summary = invented_summary(2, 1000)
    drawing = confusion(summary, "trial 3")
    drawn = matrix(drawing)
    assert drawn.shape == (50, 50)
    assert drawn.sum() == 10_000
    order = sorted(range(1000), key=lambda y: -summary.train_counts_c[y])
    head = set(order[:20])
    assert drawn[0, 0] == sum(n for t, p, n in summary.confusion if t in head and p in head)
    assert "1,000 classes are merged into 50 groups" in drawing.caption


def test_shots_are_drawn_by_expert() -> None:
    summary = invented_summary(3, 6)
    drawing = shots_by_expert(summary, "trial 3")
    assert drawing is not None
    (axes,) = drawing.figure.axes
    groups = [g for g in ("many", "medium", "few") if g in summary.ensemble.shot_accuracy]
    scorers = [summary.ensemble, *summary.experts]
    for place, group in enumerate(groups):
        assert axes.containers[place].get_label() == group
        expected = [100 * scorer.shot_accuracy[group] for scorer in scorers]
        assert heights(axes, place) == pytest.approx(expected)
    changed = {**summary.experts[1].shot_accuracy, "many": 0.111}
    expert = replace(summary.experts[1], shot_accuracy=changed)
    experts = (summary.experts[0], expert, summary.experts[2])
    moved = shots_by_expert(replace(summary, experts=experts), "trial 3")
    assert moved is not None
    assert heights(moved.figure.axes[0])[2] == pytest.approx(11.1)
    assert "many 11.1 %" in moved.alternative


def test_contributions_are_the_ensemble_minus_that_without_each_expert() -> None:
    summary = invented_summary(3, 5)
    drawing = contributions(summary, "trial 3")
    assert drawing is not None
    disagreement, accuracy, ece = drawing.figure.axes
    drawn = np.asarray(disagreement.get_images()[0].get_array())
    assert drawn == pytest.approx(100 * np.array(summary.disagreement_ee))
    ensemble = summary.ensemble
    for axes, expected in (
        (
            accuracy,
            [ensemble.balanced_accuracy - w.balanced_accuracy for w in summary.without_expert_e],
        ),
        (ece, [ensemble.by_classes.ece - w.balanced_ece for w in summary.without_expert_e]),
    ):
        bars: Any = axes.containers[0]
        assert [bar.get_width() for bar in bars] == pytest.approx([100 * v for v in expected])
    without = (*summary.without_expert_e[:2], WithoutExpert(ensemble.balanced_accuracy - 0.2, 0.0))
    moved = contributions(replace(summary, without_expert_e=without), "trial 3")
    assert moved is not None
    moved_bars: Any = moved.figure.axes[1].containers[0]
    assert moved_bars[2].get_width() == pytest.approx(20)
    assert "expert 2 +20.0 and" in moved.alternative


def test_a_single_expert_has_no_contributions() -> None:
    assert contributions(invented_summary(1), "trial 3") is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "summary",
    [
        invented_summary(1, 2, images=[1, 0]),
        invented_summary(7, 7, names=NAMES),
        invented_summary(2, 1000, images=[0, 1] * 500),
        invented_summary(2, 25, images=[5] * 24 + [0]),
    ],
    ids=["one expert, one image", "seven experts, names", "1,000 classes", "25 classes"],
)
def test_unusual_summaries_are_drawn_without_a_warning(summary: PredictionSummary) -> None:
    drawings = prediction_drawings(summary, "trial <3>")
    assert len(drawings) == (5 if len(summary.experts) == 1 else 6)
    for drawing in drawings:
        picture = drawing.picture(png=True)
        assert picture.png
        assert "<script>" not in picture.svg
        assert drawing.caption
        assert drawing.alternative.isprintable()
