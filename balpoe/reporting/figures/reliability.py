"""Reliability diagrams of the ensemble and of each expert (Aimar et al. 2023, Figures 2, 7 and 8).

K bins of equal width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from balpoe.evaluation.prediction_summary import (
    BinnedConfidences,
    PredictionSummary,
    ScorerSummary,
)
from balpoe.reporting.figures.drawing import INK, PALETTE, Drawing, new_figure, styled
from balpoe.reporting.figures.scorer_panels import (
    images_of,
    named_scorers,
    panel_columns,
    percent,
)
from balpoe.reporting.formatting import bare_number, label_with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = (0, 50, 100)
_ECE, _BALANCED_ECE = "val/ece", "val/balanced_ece"


@styled
def reliability_diagrams(summary: PredictionSummary, subject: str) -> Drawing:
    """Draw the accuracy in each confidence bin above its images, or its weight.

    `subject` names the trial or the model. Images have equal weights, unless classes have different
    numbers of images: then classes have equal weights, as in the papers' balanced test sets.
    """
    scorers = named_scorers(summary)
    columns = panel_columns(len(scorers))
    rows = -(-len(scorers) // columns)
    figure, axes = new_figure(
        2 * rows,
        columns,
        height_inches=0.4 + (2.6 if columns == 3 else 3.2) * rows,
        height_ratios=[3, 1] * rows,
    )
    for place, panel in enumerate(axes):
        row, column = divmod(place, columns)
        scorer_at = row // 2 * columns + column
        if scorer_at >= len(scorers):
            panel.set_axis_off()
            continue
        scorer = scorers[scorer_at]
        bins = shown_bins(summary, scorer.summary)
        if row % 2 == 0:
            _draw_accuracy(panel, bins)
            panel.set_title(f"{scorer.name_and_lambda}\n{_errors(summary, bins)}", fontsize=8)
            panel.set_ylabel("accuracy %" if column == 0 else "")
        else:
            _draw_weight(panel, bins, summary.is_balanced)
            counted = "images" if summary.is_balanced else "weight %"
            panel.set_ylabel(counted if column == 0 else "")
            is_lowest = scorer_at + columns >= len(scorers)
            panel.set_xlabel("confidence %" if is_lowest else "")
    weighted = "images" if summary.is_balanced else "classes"
    other = ""
    if not summary.is_balanced:
        bins = summary.ensemble.by_images
        ece, floor, mce = (bare_number(_ECE, v) for v in (bins.ece, bins.ece_floor, bins.mce))
        other = (
            f" With images weighted the same, the ensemble has ECE {ece} % (floor {floor} %) and "
            f"MCE {mce} %."
        )
    texts = [
        f"{scorer.name} {_errors(summary, shown_bins(summary, scorer.summary), ', ')}"
        for scorer in scorers
    ]
    return Drawing(
        name="reliability",
        title=f"Reliability of {subject}",
        caption=(
            f"{images_of(summary)}, {weighted} weighted the same, prior unknown; "
            f"{len(summary.ensemble.by_images.images)} bins of the confidence. Bars: accuracy in "
            "the bin; points: the same at the mean confidence of the bin, with the gap to the "
            "diagonal, which calibrated predictions reach. Below: "
            f"{'images' if summary.is_balanced else 'share of the weight'} in each bin. Floor: "
            "mean ± sd of the ECE of perfectly calibrated predictions with these confidences."
            f"{other}"
        ),
        alternative=f"Reliability diagrams of {subject}. {'; '.join(texts)}.",
        figure=figure,
    )


def shown_bins(summary: PredictionSummary, scorer: ScorerSummary) -> BinnedConfidences:
    """Return the bins of a scorer that are drawn; see `reliability_diagrams`."""
    return scorer.by_images if summary.is_balanced else scorer.by_classes


def _draw_accuracy(axes: Axes, bins: BinnedConfidences) -> None:
    count = len(bins.images)
    confidence = [percent(value) for value in bins.confidence]
    accuracy = [percent(value) for value in bins.accuracy]
    axes.bar(
        [100 * k / count for k in range(count)],
        [0 if value is None else 100 * value for value in bins.accuracy],
        100 / count,
        align="edge",
        color=PALETTE[5],
        alpha=0.55,
        edgecolor=PALETTE[0],
        linewidth=0.6,
    )
    axes.plot([0, 100], [0, 100], "--", color=INK, linewidth=0.8, label="calibrated")
    axes.vlines(confidence, accuracy, confidence, color=PALETTE[1], linewidth=1.5)
    axes.plot(
        confidence, accuracy, "o", color=PALETTE[1], markersize=3, label="bins", clip_on=False
    )
    axes.set(xlim=(0, 100), ylim=(0, 100), xticks=_TICKS, yticks=_TICKS)
    axes.tick_params(labelbottom=False)


def _draw_weight(axes: Axes, bins: BinnedConfidences, is_balanced: bool) -> None:
    count = len(bins.images)
    heights = bins.images if is_balanced else [100 * weight for weight in bins.weight]
    axes.bar(
        [100 * k / count for k in range(count)],
        heights,
        100 / count,
        align="edge",
        color=PALETTE[0],
        edgecolor="white",
        linewidth=0.4,
    )
    axes.set(xlim=(0, 100), xticks=_TICKS, ylim=(0, 1.1 * max(heights)))
    axes.locator_params(axis="y", nbins=3, integer=True)


def _errors(summary: PredictionSummary, bins: BinnedConfidences, separator: str = "\n") -> str:
    """Return `ECE 4.1 %, MCE 9.0 %` and the floor."""
    name = label_with_unit(_ECE if summary.is_balanced else _BALANCED_ECE, short=True)
    ece, floor, sd, mce = (
        bare_number(_ECE, value)
        for value in (bins.ece, bins.ece_floor, bins.ece_floor_sd, bins.mce)
    )
    return f"{name.removesuffix(' %')} {ece} %, MCE {mce} %{separator}floor {floor} ±{sd} %"
