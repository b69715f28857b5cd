"""Confidence against accuracy over the epochs of a training (NeurIPS Figure 1)."""

from __future__ import annotations

from collections.abc import Sequence

from balpoe.reporting.figures.drawing import (
    INK,
    Drawing,
    colour_bar,
    line_colours,
    new_panels,
    styled,
)
from balpoe.reporting.figures.scorer_panels import panel_columns
from balpoe.training.epoch import EpochResult


@styled
def confidence_over_epochs(history: Sequence[EpochResult], subject: str) -> Drawing | None:
    """Return mean confidence against accuracy of every evaluated epoch.

    None if no epoch has `val/confidence`, as in trials of earlier versions.
    """
    prefixes = [prefix for prefix in _prefixes(history) if _epochs(history, prefix)]
    if not prefixes:
        return None
    columns = panel_columns(len(prefixes))
    row_inches = {1: 4.4, 2: 2.4, 3: 1.75}[columns]
    figure, axes = new_panels(
        len(prefixes), columns, base_inches=0.5, row_inches=row_inches, sharex=True, sharey=True
    )
    last = max(result.epoch for result in history)
    for place, (prefix, panel) in enumerate(zip(prefixes, axes, strict=True)):
        epochs = _epochs(history, prefix)
        panel.plot([0, 100], [0, 100], "--", color=INK, linewidth=1)
        points = panel.scatter(
            [100 * epoch.metrics[f"{prefix}confidence"] for epoch in epochs],
            [100 * epoch.metrics[f"{prefix}accuracy"] for epoch in epochs],
            c=[epoch.epoch for epoch in epochs],
            cmap=line_colours(),
            vmin=0,
            vmax=last,
            s=22 if len(epochs) <= 100 else 10,
            alpha=0.8,
            linewidths=0,
        )
        ticks = (0, 50, 100)
        panel.set(xlim=(0, 100), ylim=(0, 100), xticks=ticks, yticks=ticks, aspect="equal")
        panel.set_title(_name(prefix))
        if place % columns == 0:
            panel.set_ylabel("accuracy %")
        if place + columns >= len(prefixes):
            panel.set_xlabel("mean confidence %")
            panel.tick_params(labelbottom=True)
    colour_bar(figure, points, "epoch")
    final = _epochs(history, prefixes[0])[-1]
    return Drawing(
        name="confidence_over_epochs",
        title=f"Confidence against accuracy over the epochs of {subject}",
        caption=(
            f"Validation images weighted equally, {len(_epochs(history, prefixes[0]))} evaluated "
            "epochs, prior unknown. Points below the dashed line are overconfident, points "
            "above it underconfident (NeurIPS 2021, Figure 1)."
        ),
        alternative=(
            f"After epoch {final.epoch} the mean confidence of the {_name(prefixes[0])} is "
            f"{100 * final.metrics[f'{prefixes[0]}confidence']:.1f} % and its accuracy "
            f"{100 * final.metrics[f'{prefixes[0]}accuracy']:.1f} %."
        ),
        figure=figure,
    )


def _prefixes(history: Sequence[EpochResult]) -> list[str]:
    names = {name for result in history for name in result.metrics}
    experts = sum(f"val/expert_{e}/confidence" in names for e in range(len(names)))
    every = [f"val/expert_{e}/" for e in range(experts)]
    return ["val/", *(every if experts > 1 else [])]


def _epochs(history: Sequence[EpochResult], prefix: str) -> list[EpochResult]:
    names = (f"{prefix}confidence", f"{prefix}accuracy")
    return [result for result in history if all(name in result.metrics for name in names)]


def _name(prefix: str) -> str:
    return "ensemble" if prefix == "val/" else prefix.split("/")[1].replace("_", " ")
