"""Figures with the classes from head to tail: accuracy, marginals and confusion.

C classes, in descending order of their training images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from balpoe.evaluation.prediction_summary import PredictionSummary, ScorerSummary
from balpoe.reporting.figures.drawing import (
    INK,
    MARKERS,
    MUTED,
    PALETTE,
    SEQUENTIAL,
    Drawing,
    logarithmic,
    new_figure,
    styled,
)
from balpoe.reporting.figures.reliability import named_scorers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NAMES, _LONGEST_NAME = 30, 14
_MOST_CELLS = 200
_COLUMNS, _PANEL_INCHES = 3, 2.1


def class_order(summary: PredictionSummary) -> list[int]:
    """Return the classes from head to tail; classes with as many images keep their order."""
    return sorted(range(len(summary.class_names)), key=lambda y: -summary.train_counts_c[y])


@styled
def class_accuracy(summary: PredictionSummary, subject: str) -> Drawing:
    """Draw the accuracy on each class, of the ensemble and of each expert."""
    figure, (axes,) = new_figure(height_inches=3.4)
    order = class_order(summary)
    places = np.arange(len(order))
    counts = axes.twinx()
    counts.bar(places, [summary.train_counts_c[y] for y in order], color=MUTED, alpha=0.25)
    counts.set(yscale="log", ylabel="training images")
    logarithmic(counts.yaxis)
    counts.grid(visible=False)
    axes.set_zorder(counts.get_zorder() + 1)
    axes.patch.set_visible(False)
    for i, (label, expert) in enumerate(named_scorers(summary)[1:]):
        colour, marker = PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]
        _recall_line(axes, expert, order, label, color=colour, marker=marker, linewidth=0.9)
    _recall_line(axes, summary.ensemble, order, "ensemble", color=INK, marker="", linewidth=2.4)
    axes.set(ylabel="accuracy on the class %", ylim=(-3, 103))
    name_classes(axes, summary, order)
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=8, borderaxespad=0.2
    )
    recalls = {
        y: recall for y, recall in enumerate(summary.ensemble.recall_c) if recall is not None
    }
    worst = min(recalls, key=lambda y: (recalls[y], y))
    return Drawing(
        name="class_accuracy",
        title=f"Accuracy by class of {subject}",
        caption=(
            f"{_split(summary)} images of each class that are right; classes from the most to the "
            "fewest training images (grey bars, logarithmic)."
        ),
        alternative=(
            f"The accuracy of the ensemble on {len(recalls)} classes from head to tail. Worst: "
            f"{summary.class_names[worst]}, {100 * recalls[worst]:.1f} %."
        ),
        figure=figure,
    )


@styled
def marginals(summary: PredictionSummary, subject: str) -> Drawing:
    """Draw the target prior and the estimated marginal (Aimar et al. 2023, Figure 3b)."""
    scorers = named_scorers(summary)
    columns = min(_COLUMNS, len(scorers))
    rows = -(-len(scorers) // columns)
    figure, panels = new_figure(rows, columns, height_inches=rows * _PANEL_INCHES + 0.3)
    order = class_order(summary)
    for place, (panel, (name, scorer)) in enumerate(zip(panels, scorers, strict=False)):
        x = np.arange(len(order))
        marginal = [scorer.marginal_c[y] for y in order]
        panel.plot(
            x, [scorer.target_prior_c[y] for y in order], color=INK, linestyle="--", label="target"
        )
        marker = "o" if len(order) <= _MOST_NAMES else ""
        panel.plot(x, marginal, marker=marker, markersize=3, color=PALETTE[1], label="estimated")
        panel.set(yscale="log", xticks=[])
        logarithmic(panel.yaxis)
        if place + columns >= len(scorers):
            panel.set_xlabel("class, head to tail")
        panel.set_title(f"{name}\nKL {scorer.kl_to_target_prior:.3f}", fontsize=8)
        if place % columns == 0:
            panel.set_ylabel("probability")
    panels[0].legend(fontsize=7)
    for empty in panels[len(scorers) :]:
        empty.set_axis_off()
    divergences = ", ".join(f"{name} {s.kl_to_target_prior:.3f}" for name, s in scorers)
    return Drawing(
        name="marginals",
        title=f"Target prior and estimated marginal of {subject}",
        caption=(
            "The prior that λ aims at (dashed) and the mean predicted probability of each class "
            f"over class-balanced {_split(summary).lower()} inputs; KL(target ‖ estimated) in nats."
        ),
        alternative=f"Divergences of the marginals from the target priors: {divergences}.",
        figure=figure,
    )


@styled
def confusion(summary: PredictionSummary, subject: str) -> Drawing:
    """Draw the confusion matrix of the ensemble on a logarithmic scale."""
    from matplotlib.colors import LogNorm

    matrix_kk = _binned_confusion(summary)
    figure, (axes,) = new_figure(height_inches=4.6)
    axes.grid(visible=False)
    image = axes.imshow(
        np.ma.masked_equal(matrix_kk, 0),
        norm=LogNorm(vmin=1, vmax=max(2, int(matrix_kk.max()))),
        cmap=SEQUENTIAL,
        interpolation="nearest",
    )
    logarithmic(figure.colorbar(image, ax=axes, label="images", shrink=0.85).ax.yaxis)
    order = class_order(summary)
    if len(order) <= _MOST_NAMES:
        names = [_short(summary.class_names[y]) for y in order]
        axes.set_xticks(range(len(order)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(order)), names, fontsize=7)
    axes.set(xlabel="predicted, head to tail", ylabel="true, head to tail")
    right = sum(images for true, predicted, images in summary.confusion if true == predicted)
    total = sum(images for *_, images in summary.confusion)
    merged = ""
    if len(order) > _MOST_CELLS:
        merged = f" {len(order)} classes are merged into {len(matrix_kk)} groups of neighbours."
    return Drawing(
        name="confusion",
        title=f"Confusion matrix of {subject}",
        caption=(
            f"{_split(summary)} images by true and predicted class, prior unknown; classes in "
            f"order of their training images, white: none.{merged}"
        ),
        alternative=f"Confusion matrix: {right} of {total} images are on the diagonal.",
        figure=figure,
    )


def name_classes(axes: Axes, summary: PredictionSummary, order: list[int]) -> None:
    """Label the x-axis with the names of the classes where there is room."""
    if len(order) > _MOST_NAMES:
        axes.set_xlabel("class, head to tail")
        return
    names = [_short(summary.class_names[y]) for y in order]
    is_long = max(map(len, names)) * len(names) > 70
    axes.set_xticks(range(len(order)), names, rotation=90 if is_long else 0, fontsize=8)


def _recall_line(
    axes: Axes, scorer: ScorerSummary, order: list[int], label: str, *, marker: str, **style: Any
) -> None:
    recalls = [scorer.recall_c[y] for y in order]
    axes.plot(
        range(len(order)),
        [np.nan if recall is None else 100 * recall for recall in recalls],
        marker=marker if len(order) <= _MOST_NAMES else "",
        label=label,
        **style,
    )


def _binned_confusion(summary: PredictionSummary) -> NDArray[np.int64]:
    """Return the images by true and predicted group of classes, from head to tail."""
    rank = {y: place for place, y in enumerate(class_order(summary))}
    size = -(-len(rank) // _MOST_CELLS)
    groups = -(-len(rank) // size)
    matrix_kk = np.zeros((groups, groups), np.int64)
    for true, predicted, images in summary.confusion:
        matrix_kk[rank[true] // size, rank[predicted] // size] += images
    return matrix_kk


def _split(summary: PredictionSummary) -> str:
    return "Validation" if summary.split == "val" else "Test"


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
