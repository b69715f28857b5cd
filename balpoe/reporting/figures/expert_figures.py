"""What the experts of an ensemble do: accuracy by shots, disagreement, contribution."""

from __future__ import annotations

import numpy as np

from balpoe.evaluation.prediction_summary import PredictionSummary
from balpoe.reporting.figures.drawing import PALETTE, SEQUENTIAL, Drawing, new_figure, styled

_GROUPS = ("many", "medium", "few")


@styled
def shots_by_expert(summary: PredictionSummary, subject: str) -> Drawing:
    """Draw the accuracy on many, medium and few by expert (Aimar et al. 2023, Figure 6)."""
    figure, (axes,) = new_figure(height_inches=3.0)
    scorers = [(f"expert {i}\nλ = {s.lam:.2g}", s) for i, s in enumerate(summary.experts)]
    scorers.append(("ensemble", summary.ensemble))
    groups = [group for group in _GROUPS if group in summary.ensemble.shot_accuracy]
    width = 0.8 / len(groups)
    for place, group in enumerate(groups):
        x = np.arange(len(scorers)) + (place - (len(groups) - 1) / 2) * width
        heights = [100 * scorer.shot_accuracy[group] for _, scorer in scorers]
        axes.bar(
            x,
            heights,
            width,
            label=group,
            color=PALETTE[place],
            hatch=("", "//", "..")[place],
            edgecolor="white",
        )
    axes.set_xticks(range(len(scorers)), [name for name, _ in scorers], fontsize=8)
    axes.set(ylabel="accuracy %", ylim=(0, 100))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    shown = "; ".join(
        f"{name.replace(chr(10), ', ')}: "
        + ", ".join(f"{group} {100 * scorer.shot_accuracy[group]:.1f} %" for group in groups)
        for name, scorer in scorers
    )
    return Drawing(
        name="shots",
        title=f"Accuracy by number of training images of {subject}",
        caption=(
            "Mean accuracy over classes with more than 100 (many), 20 to 100 (medium) and fewer "
            "than 20 (few) training images, of each expert and of the ensemble."
        ),
        alternative=f"Accuracies: {shown}.",
        figure=figure,
    )


@styled
def contributions(summary: PredictionSummary, subject: str) -> Drawing | None:
    """Draw how often two experts disagree, and the ensemble without each; None for one expert."""
    if not summary.without_expert_e:
        return None
    figure, (left, right) = new_figure(1, 2, height_inches=2.9)
    experts = range(len(summary.experts))
    left.grid(visible=False)
    matrix_ee = 100 * np.array(summary.disagreement_ee)
    image = left.imshow(matrix_ee, cmap=SEQUENTIAL, vmin=0, vmax=max(1.0, matrix_ee.max()))
    for own in experts:
        for other in experts:
            value = matrix_ee[own, other]
            colour = "white" if value < matrix_ee.max() / 2 else "black"
            left.text(
                other, own, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=7
            )
    left.set_xticks(experts)
    left.set_yticks(experts)
    left.set(xlabel="expert", ylabel="expert", title="disagreement, % of images")
    figure.colorbar(image, ax=left, shrink=0.8)
    loss_e = [
        100 * (summary.ensemble.balanced_accuracy - without.balanced_accuracy)
        for without in summary.without_expert_e
    ]
    rise_e = [
        100 * (without.balanced_ece - summary.ensemble.by_classes.ece)
        for without in summary.without_expert_e
    ]
    x = np.arange(len(loss_e))
    right.bar(x - 0.2, loss_e, 0.4, color=PALETTE[0], label="accuracy gained")
    right.bar(x + 0.2, rise_e, 0.4, color=PALETTE[1], hatch="//", label="ECE reduced")
    right.axhline(0, color="black", linewidth=0.6)
    right.set_xticks(x)
    right.set(xlabel="expert", ylabel="points", title="what each expert adds")
    right.legend(fontsize=7)
    added = ", ".join(f"expert {e} {value:+.1f}" for e, value in enumerate(loss_e))
    return Drawing(
        name="contributions",
        title=f"Experts of {subject}",
        caption=(
            "Left: share of images for which two experts predict different classes. Right: "
            "balanced accuracy that the ensemble gains, and balanced ECE that it loses, by each "
            "expert, compared with the ensemble of the others."
        ),
        alternative=f"Balanced accuracy that each expert adds, in points: {added}.",
        figure=figure,
    )
