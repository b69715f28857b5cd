"""Figures with the classes from head to tail: accuracy, marginals and confusion.

C classes, in descending order of their training images; K classes or groups of neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from balpoe.evaluation.prediction_summary import PredictionSummary
from balpoe.reporting.figures.drawing import (
    INK,
    MUTED,
    PALETTE,
    SEQUENTIAL,
    Drawing,
    colour_bar,
    logarithmic,
    new_figure,
    new_panels,
    styled,
)
from balpoe.reporting.figures.scorer_panels import (
    MOST_NAMED_CLASSES,
    NamedScorer,
    class_order,
    images_of,
    name_classes,
    named_scorers,
    panel_columns,
    percent,
    shown_name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CELLS = 100
_GROUPS = 50  # of the confusion matrix, if there are more classes
_MOST_SINGLE = 40  # classes with a point for each expert
_MEANS = 20  # groups of neighbours whose means are drawn for more classes
_MOST_NUMBERS = 10


@styled
def class_accuracy(summary: PredictionSummary, subject: str) -> Drawing:
    """Draw the accuracy on each class, of the ensemble and of each expert, and its images.

    For many classes, the experts are drawn as means over groups of neighbours.
    """
    scorers = named_scorers(summary)
    order = class_order(summary)
    figure, (axes, counts) = new_figure(2, height_inches=4.2, height_ratios=[3, 1], sharex=True)
    is_single = len(order) <= _MOST_SINGLE
    for scorer in reversed(scorers):  # the ensemble is drawn over the experts
        _draw_recalls(axes, scorer, order, is_main=scorer is scorers[0], is_single=is_single)
    axes.set(ylabel="accuracy on the class %", ylim=(-3, 103))
    trained = [summary.train_counts_c[y] for y in order]
    if is_single:
        counts.bar(range(len(order)), trained, 0.7, color=MUTED)
    else:
        counts.plot(range(len(order)), trained, color=INK, linewidth=1, drawstyle="steps-mid")
    counts.set(yscale="log", ylabel="training\nimages", ylim=(0.7 * max(1, min(trained)), None))
    logarithmic(counts.yaxis)
    counts.set_yticks(sorted({max(1, min(trained)), max(1, *trained)}))
    name_classes(counts, summary)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="upper center", ncols=4, fontsize=8)
    recalls = {
        y: recall for y, recall in enumerate(scorers[0].summary.recall_c) if recall is not None
    }
    worst = min(recalls, key=lambda y: (recalls[y], y))
    means = "" if is_single else f"; lines: means over {_MEANS} groups of neighbouring classes"
    return Drawing(
        name="class_accuracy",
        title=f"Accuracy by class of {subject}",
        caption=(
            f"{images_of(summary)}, prior unknown: images of each class that are right{means}. "
            "Classes from the most to the fewest training images (below, logarithmic); one "
            "without images has no point."
        ),
        alternative=(
            f"The accuracy of the {scorers[0].name} on {len(recalls):,} classes from head to tail. "
            f"Worst: {shown_name(summary.class_names[worst])}, {100 * recalls[worst]:.1f} %."
        ),
        figure=figure,
    )


@styled
def marginals(summary: PredictionSummary, subject: str) -> Drawing:
    """Draw the target prior and the estimated marginal (Aimar et al. 2023, Figure 3b)."""
    scorers = named_scorers(summary)
    columns = panel_columns(len(scorers))
    figure, panels = new_panels(
        len(scorers), columns, base_inches=1, row_inches=1.7, sharex=True, sharey=True
    )
    order = class_order(summary)
    for place, (panel, scorer) in enumerate(zip(panels, scorers, strict=True)):
        panel.plot(
            range(len(order)),
            [100 * scorer.summary.marginal_c[y] for y in order],
            "o" if len(order) <= 100 else ".",
            markersize=3.5 if len(order) <= 100 else 1.5,
            color=PALETTE[1],
            label="estimated",
        )
        panel.plot(
            range(len(order)),
            [100 * scorer.summary.target_prior_c[y] for y in order],
            color=INK,
            linewidth=1.2,
            label="target",
        )
        panel.set_yscale("log")
        logarithmic(panel.yaxis)
        divergence = f"{scorer.summary.kl_to_target_prior:.3f}"
        panel.set_title(f"{scorer.name_and_lambda}\nKL {divergence}", fontsize=8)
        if place % columns == 0:
            panel.set_ylabel("probability %")
        if place + columns >= len(scorers):
            panel.tick_params(labelbottom=True)
            if columns == 1:
                name_classes(panel, summary)
            else:
                panel.set_xticks([0, len(order) - 1], ["head", "tail"])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="upper center", ncols=2, fontsize=8)
    divergences = ", ".join(f"{s.name} {s.summary.kl_to_target_prior:.3f}" for s in scorers)
    return Drawing(
        name="marginals",
        title=f"Target prior and estimated marginal of {subject}",
        caption=(
            f"{images_of(summary)}. The prior that λ aims at (line) and the mean predicted "
            "probability of each class with classes weighted the same (points), classes from the "
            "most to the fewest training images, logarithmic; KL(target ‖ estimated) in nats."
        ),
        alternative=f"Divergences of the marginals from the target priors: {divergences}.",
        figure=figure,
    )


@styled
def confusion(summary: PredictionSummary, subject: str) -> Drawing:
    """Draw the confusion matrix of the ensemble on a logarithmic scale."""
    from matplotlib.colors import LogNorm

    matrix_kk = _grouped_confusion(summary)
    classes, side = len(summary.class_names), len(matrix_kk)
    most = max(2, int(matrix_kk.max()))
    figure, (axes,) = new_figure(height_inches=4.6)
    axes.grid(visible=False)
    image = axes.imshow(
        np.ma.masked_equal(matrix_kk, 0),
        norm=LogNorm(vmin=1, vmax=most),
        cmap=SEQUENTIAL,
        interpolation="nearest",
    )
    logarithmic(colour_bar(figure, image, "images"))
    axes.set(xlabel="predicted, head to tail", ylabel="true, head to tail")
    if classes <= MOST_NAMED_CLASSES:
        name_classes(axes, summary, size=7)
        names = [shown_name(summary.class_names[y]) for y in class_order(summary)]
        axes.set_yticks(range(side), names, fontsize=7)
        axes.set_xlabel("predicted, head to tail")
    if side <= _MOST_NUMBERS:
        _write_numbers(axes, matrix_kk, most)
    merged = ""
    if side < classes:
        merged = f" {classes:,} classes are merged into {side} groups of neighbours."
        axes.set(xlabel="predicted group, head to tail", ylabel="true group, head to tail")
    right = sum(images for true, predicted, images in summary.confusion if true == predicted)
    total = sum(images for *_, images in summary.confusion)
    return Drawing(
        name="confusion",
        title=f"Confusion matrix of {subject}",
        caption=(
            f"{images_of(summary)} by true and predicted class, prior unknown; classes in order of "
            f"their training images, logarithmic; empty: no images.{merged}"
        ),
        alternative=f"Confusion matrix: {right:,} of {total:,} images are on the diagonal.",
        figure=figure,
    )


def _draw_recalls(
    axes: Axes, scorer: NamedScorer, order: Sequence[int], *, is_main: bool, is_single: bool
) -> None:
    recalls = [percent(scorer.summary.recall_c[y]) for y in order]
    style: dict[str, Any] = {
        "color": scorer.colour,
        "marker": scorer.marker,
        "markersize": scorer.marker_size,
        "linewidth": 1.6 if is_main else 0.7,
        "label": scorer.name_and_lambda,
    }
    if is_single:
        axes.plot(range(len(order)), recalls, **style)
        return
    if is_main:
        axes.plot(range(len(order)), recalls, ".", color=scorer.colour, markersize=2, alpha=0.4)
    ranges = neighbours(len(order), _MEANS)
    axes.plot(
        [(low + high - 1) / 2 for low, high in ranges],
        [_mean(recalls[low:high]) for low, high in ranges],
        **style,
    )


def neighbours(classes: int, groups: int) -> list[tuple[int, int]]:
    """Return ranges of places, from head to tail, of groups that are as equal as possible."""
    return list(pairwise(round(g * classes / groups) for g in range(groups + 1)))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _grouped_confusion(summary: PredictionSummary) -> NDArray[np.int64]:
    """Return the images by true and predicted class or group of classes, from head to tail."""
    order = class_order(summary)
    groups = len(order) if len(order) <= _MOST_CELLS else _GROUPS
    group_c = {
        order[place]: group
        for group, (low, high) in enumerate(neighbours(len(order), groups))
        for place in range(low, high)
    }
    matrix_kk = np.zeros((groups, groups), np.int64)
    for true, predicted, images in summary.confusion:
        matrix_kk[group_c[true], group_c[predicted]] += images
    return matrix_kk


def _write_numbers(axes: Axes, matrix_kk: NDArray[np.int64], most: int) -> None:
    for row, column in np.argwhere(matrix_kk).tolist():
        images = int(matrix_kk[row, column])
        colour = "black" if images > most**0.6 else "white"
        axes.text(column, row, f"{images:,}", ha="center", va="center", color=colour, fontsize=7)
