"""Reliability diagrams of the ensemble and of each expert (Aimar et al. 2023, Figures 2, 7 and 8).

K bins of equal width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from balpoe.evaluation.prediction_summary import (
    BinnedConfidences,
    PredictionSummary,
    ScorerSummary,
)
from balpoe.reporting.figures.drawing import INK, MUTED, PALETTE, Drawing, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4
_PANEL_INCHES = 2.2


@styled
def reliability_diagrams(summary: PredictionSummary, subject: str) -> Drawing:
    """Draw the accuracy in each confidence bin above the number of images in it.

    `subject` names the trial or the model. Images have equal weights, unless classes have different
    numbers of images: then classes have equal weights, as in the papers' balanced test sets.
    """
    scorers = named_scorers(summary)
    columns = min(_COLUMNS, len(scorers))
    rows = -(-len(scorers) // columns)
    figure, panels = new_figure(rows, columns, height_inches=rows * _PANEL_INCHES + 0.5)
    texts = []
    for place, (panel, (name, scorer)) in enumerate(zip(panels, scorers, strict=False)):
        bins = scorer.by_images if summary.is_balanced else scorer.by_classes
        _draw(panel, name, bins)
        if place % columns == 0:
            panel.set_ylabel("accuracy")
        if place + columns >= len(scorers):
            panel.set_xlabel("confidence")
        texts.append(f"{name}: ECE {_percent(bins.ece)}, MCE {_percent(bins.mce)}")
    for empty in panels[len(scorers) :]:
        empty.set_axis_off()
    weighted = "images" if summary.is_balanced else "classes"
    images = sum(summary.images_c)
    return Drawing(
        name="reliability",
        title=f"Reliability of {subject}",
        caption=(
            f"Accuracy (bars) in {len(summary.ensemble.by_images.images)} bins of the confidence "
            f"on {images} {_SPLITS[summary.split]} images, {weighted} weighted the same; hatched: "
            "the gap to the mean confidence. The grey bars below are the share of images. "
            "Calibrated predictions reach the diagonal. In brackets: the ECE that perfectly "
            "calibrated predictions would show."
        ),
        alternative=f"Reliability diagrams of {subject}. {'; '.join(texts)}.",
        figure=figure,
    )


_SPLITS = {"val": "validation", "test": "test"}
_SHARE_HEIGHT = 0.25  # of all images, in units of the accuracy


def named_scorers(summary: PredictionSummary) -> list[tuple[str, ScorerSummary]]:
    """Return the ensemble, followed by its experts if it has several, each with its name."""
    experts = summary.experts if len(summary.experts) > 1 else ()
    named = [(f"expert {i}, λ = {expert.lam:.2g}", expert) for i, expert in enumerate(experts)]
    return [("ensemble", summary.ensemble), *named]


def _draw(axes: Axes, name: str, bins: BinnedConfidences) -> None:
    count = len(bins.images)
    edges = [k / count for k in range(count)]
    accuracy = [0.0 if value is None else value for value in bins.accuracy]
    confidence = [0.0 if value is None else value for value in bins.confidence]
    gaps = [c - a for a, c in zip(accuracy, confidence, strict=True)]
    style: dict[str, Any] = {"width": 1 / count, "align": "edge", "linewidth": 0.5}
    axes.bar(edges, accuracy, color=PALETTE[0], edgecolor="white", label="accuracy", **style)
    axes.bar(
        edges,
        gaps,
        bottom=accuracy,
        color="none",
        edgecolor=PALETTE[1],
        hatch="////",
        label="gap",
        **style,
    )
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    total = sum(bins.images)
    shares = [-_SHARE_HEIGHT * images / total for images in bins.images]
    axes.bar(edges, shares, color=MUTED, edgecolor="white", label="share of images", **style)
    axes.set(xlim=(0, 1), ylim=(-_SHARE_HEIGHT - 0.03, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes.axhline(0, color=INK, linewidth=0.5)
    axes.set_title(
        f"{name}\nECE {_percent(bins.ece)} ({_percent(bins.ece_floor)})\nMCE {_percent(bins.mce)}",
        fontsize=7,
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
