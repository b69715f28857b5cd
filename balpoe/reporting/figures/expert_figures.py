"""What the experts of an ensemble do: accuracy by shots, disagreement, contribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from balpoe.evaluation.prediction_summary import PredictionSummary
from balpoe.reporting.figures.drawing import INK, PALETTE, SEQUENTIAL, Drawing, new_figure, styled
from balpoe.reporting.figures.scorer_panels import images_of, named_scorers
from balpoe.reporting.formatting import NO_VALUE, bare_number, signed_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GROUPS = {"many": ("", 0), "medium": ("//", 5), "few": ("..", 2)}
_ACCURACY, _ECE = "val/balanced_accuracy", "val/balanced_ece"


@styled
def shots_by_expert(summary: PredictionSummary, subject: str) -> Drawing | None:
    """Draw the accuracy on many, medium and few by expert (Aimar et al. 2023, Figure 6).

    None if no group has images.
    """
    scorers = named_scorers(summary)
    shown = [group for group in _GROUPS if group in summary.ensemble.shot_accuracy]
    if not shown:
        return None
    figure, (axes,) = new_figure(height_inches=3.0)
    width = 0.8 / len(shown)
    accuracies = {
        group: [scorer.summary.shot_accuracy.get(group) for scorer in scorers] for group in shown
    }
    for place, (group, values) in enumerate(accuracies.items()):
        hatch, colour = _GROUPS[group]
        axes.bar(
            [i + (place - (len(shown) - 1) / 2) * width for i in range(len(scorers))],
            [0 if value is None else 100 * value for value in values],
            width,
            label=group,
            color=PALETTE[colour],
            hatch=hatch,
            edgecolor="white",
        )
    names = [scorer.name_and_lambda.replace(", ", "\n") for scorer in scorers]
    axes.set_xticks(range(len(scorers)), names, fontsize=8 if len(names) < 7 else 7)
    axes.set(ylabel="accuracy %", ylim=(0, 100))
    axes.set_xlim(
        min(-0.5, len(scorers) / 2 - 1.5), max(len(scorers) - 0.5, len(scorers) / 2 + 0.5)
    )
    axes.grid(visible=False, axis="x")
    figure.legend(loc="upper center", ncols=3)
    texts = (
        f"{scorer.name}: {', '.join(f'{g} {_text(accuracies[g][i])}' for g in shown)}"
        for i, scorer in enumerate(scorers)
    )
    return Drawing(
        name="shots",
        title=f"Accuracy by number of training images of {subject}",
        caption=(
            f"{images_of(summary)}, prior unknown. Mean accuracy over classes with more than 100 "
            "(many), 20 to 100 (medium) and fewer than 20 (few) training images; groups without "
            "images are left out."
        ),
        alternative=f"Accuracies: {'; '.join(texts)}.",
        figure=figure,
    )


@styled
def contributions(summary: PredictionSummary, subject: str) -> Drawing | None:
    """Draw how often two experts disagree, and the ensemble without each; None for one expert."""
    if not summary.without_expert_e:
        return None
    many = len(summary.experts) > 4
    figure, (matrix, accuracy, ece) = new_figure(
        1, 3, height_inches=3.4 if many else 2.8, width_ratios=[1.6, 1, 1]
    )
    _draw_disagreement(matrix, summary)
    gain_e = [
        summary.ensemble.balanced_accuracy - without.balanced_accuracy
        for without in summary.without_expert_e
    ]
    rise_e = [
        summary.ensemble.by_classes.ece - without.balanced_ece
        for without in summary.without_expert_e
    ]
    _draw_changes(accuracy, gain_e, "change of\nbalanced accuracy")
    _draw_changes(ece, rise_e, "change of\nbalanced ECE")
    added = "; ".join(
        f"expert {e} {signed_number(_ACCURACY, gain)} and {signed_number(_ECE, rise)}"
        for e, (gain, rise) in enumerate(zip(gain_e, rise_e, strict=True))
    )
    return Drawing(
        name="contributions",
        title=f"Experts of {subject}",
        caption=(
            f"{images_of(summary)}, prior unknown. Left: share of images for which two experts "
            "predict different classes. Right: balanced accuracy (higher is better) and balanced "
            "ECE (lower is better) of the ensemble minus those of the ensemble without the expert."
        ),
        alternative=(
            f"Balanced accuracy and balanced ECE that each expert adds, in percentage points: "
            f"{added}."
        ),
        figure=figure,
    )


def _draw_disagreement(axes: Axes, summary: PredictionSummary) -> None:
    share_ee = summary.disagreement_ee
    most = max(max(row) for row in share_ee)
    axes.imshow(
        [[100 * share for share in row] for row in share_ee],
        cmap=SEQUENTIAL,
        vmin=0,
        vmax=100 * most or 1,
        interpolation="nearest",
    )
    axes.grid(visible=False)
    experts = range(len(share_ee))
    for own in experts:
        for other in experts:
            share = share_ee[own][other]
            axes.text(
                other,
                own,
                bare_number(_ACCURACY, share),
                ha="center",
                va="center",
                color="white" if share <= most / 2 else "black",
                fontsize=8 if len(experts) < 6 else 6,
            )
    axes.set_xticks(experts)
    axes.set_yticks(
        experts, [_with_lambda(e, expert.lam) for e, expert in enumerate(summary.experts)]
    )
    axes.set(xlabel="expert", ylabel="expert")
    axes.set_title("disagreement, % of images", fontsize=9)


def _with_lambda(expert: int, lam: float | None) -> str:
    return str(expert) if lam is None else f"{expert}, λ = {lam:.2g}"


def _draw_changes(axes: Axes, change_e: Sequence[float], title: str) -> None:
    experts = range(len(change_e))
    points = [100 * change for change in change_e]
    axes.barh(experts, points, 0.6, color=PALETTE[5], edgecolor=PALETTE[0], linewidth=0.8)
    axes.axvline(0, color=INK, linewidth=0.8)
    for e, change in enumerate(change_e):
        side = 1 if change >= 0 else -1
        axes.annotate(
            signed_number(_ACCURACY, change),
            (points[e], e),
            xytext=(3 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=7.5,
        )
    axes.set_yticks(experts, [str(e) for e in experts])
    axes.invert_yaxis()
    least, most = min((*points, 0.0)), max((*points, 0.0))
    room = 0.6 * ((most - least) or 1)  # for the numbers beside the bars
    axes.set_xlim(
        least - room * any(change < 0 for change in change_e),
        most + room * any(change >= 0 for change in change_e),
    )
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel("points")
    axes.set_title(title, fontsize=9)


def _text(value: float | None) -> str:
    return NO_VALUE if value is None else f"{bare_number(_ACCURACY, value)} %"
