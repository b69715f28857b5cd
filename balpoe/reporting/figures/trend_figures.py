"""Metrics across the trials of a study against a parameter, as figures of the paper show them.

Aimar et al. 2023: KL over α of the ensemble and of each expert (Figure 3a), accuracy, ECE and
accuracy by shots over λ̄ (4) and over the number of experts (5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from balpoe.config import StudySpec
from balpoe.reporting.figures.drawing import INK, MARKERS, PALETTE, Drawing, new_figure, styled
from balpoe.reporting.figures.front_figures import seed_numbers
from balpoe.reporting.formatting import label_with_unit, scaled
from balpoe.study.selection.candidates import OverSeeds, candidates, metrics_over_seeds
from balpoe.study.trials.record import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEWEST_VALUES: Final = 3
_KL: Final = "kl_to_target_prior"

Point = tuple[float, Mapping[str, OverSeeds]]
"""The value of the parameter, and the metrics of a trial over its seeds."""


@dataclass(frozen=True, slots=True)
class _Series:
    metric: str
    colour: str
    marker: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Trend:
    """A figure: the parameter, the file name, the label of the x axis, and panels of series."""

    path: str
    name: str
    label: str
    panels: Mapping[str, tuple[_Series, ...]]


def _ensemble(metric: str, place: int) -> dict[str, tuple[_Series, ...]]:
    return {label_with_unit(metric): (_Series(metric, PALETTE[place], MARKERS[0]),)}


_SHOTS: Final = tuple(
    _Series(f"val/accuracy_{group}", PALETTE[colour], marker, group)
    for group, colour, marker in (("many", 0, "o"), ("medium", 1, "s"), ("few", 2, "^"))
)
_RESULTS: Final = {
    **_ensemble("val/balanced_accuracy", 0),
    "accuracy by shots %": _SHOTS,
    **_ensemble("val/balanced_ece", 1),
}
_EXPERTS: Final = tuple(
    _Series(f"val/expert_{e}/{_KL}", colour, marker, f"expert {e}")
    for e, (colour, marker) in enumerate(zip(PALETTE, MARKERS, strict=True))
)
_TRENDS: Final = (
    _Trend(
        "mixup.alpha",
        "kl_over_alpha",
        "α of mixup",
        {**_ensemble(f"val/{_KL}", 0), "KL to prior of each expert": _EXPERTS},
    ),
    _Trend("experts.centre", "over_mean_lambda", "λ̄", _RESULTS),
    _Trend("experts.count", "over_experts", "number of experts", _RESULTS),
)


def trends(spec: StudySpec, records: Sequence[TrialRecord]) -> Iterator[Drawing]:
    """Yield a figure for each parameter of the paper's figures that the study searches.

    A parameter with few values has none. Metrics that no trial has stored are left out.
    """
    known = [(each, metrics_over_seeds(records, each.number)) for each in candidates(records)]
    for trend in _TRENDS:
        if trend.path not in spec.search:
            continue
        points = [
            (float(value), metrics)
            for each, metrics in known
            if (value := each.parameters.get(trend.path)) is not None
        ]
        stored = {metric for _, metrics in points for metric in metrics}
        panels = {
            label: present
            for label, series in trend.panels.items()
            if (present := [each for each in series if each.metric in stored])
        }
        if len({x for x, _ in points}) >= _FEWEST_VALUES and panels:
            yield _drawn(trend, panels, points)


@styled
def _drawn(
    trend: _Trend, panels: Mapping[str, Sequence[_Series]], points: Sequence[Point]
) -> Drawing:
    figure, axes = new_figure(1, len(panels), height_inches=2.9)
    for panel, (label, series) in zip(axes, panels.items(), strict=True):
        for each in series:
            _draw_series(panel, each, points, colour=each.colour if each.label else INK)
        panel.set(xlabel=trend.label, ylabel=label)
    if any(each.label for series in panels.values() for each in series):
        figure.legend(loc="upper center", ncols=7, fontsize=8)
    seeds = sorted({found.n for _, metrics in points for found in metrics.values()})
    shown = ", ".join(panels)
    return Drawing(
        name=trend.name,
        title=f"{shown} over {trend.label}",
        caption=(
            f"{len(points)} feasible trials, {_means(seeds)}; other parameters differ too. A line "
            "joins the means of trials with the same value."
        ),
        alternative=f"Scatter plot of {shown} of {len(points)} trials over {trend.label}.",
        figure=figure,
    )


def _means(seeds: Sequence[int]) -> str:
    if seeds[-1] == 1:
        return "n = 1 seed each"
    return f"means with bars of ± 1 standard deviation over n = {seed_numbers(seeds)} seeds"


def _draw_series(axes: Axes, series: _Series, points: Sequence[Point], colour: str) -> None:
    """Draw a metric of each trial, and the means for each value if most are of several trials."""
    found = [(x, metrics[series.metric]) for x, metrics in points if series.metric in metrics]
    axes.errorbar(
        [x for x, _ in found],
        [scaled(series.metric, each.mean) for _, each in found],
        yerr=[scaled(series.metric, each.sd or 0.0) for _, each in found],
        linestyle="",
        color=series.colour,
        marker=series.marker,
        markersize=4,
        elinewidth=0.7,
        alpha=0.7,
        label=series.label or None,
    )
    by_value: dict[float, list[float]] = defaultdict(list)
    for x, each in sorted(found, key=lambda pair: pair[0]):
        by_value[x].append(scaled(series.metric, each.mean))
    if 2 * len(by_value) <= len(found):
        means = [sum(values) / len(values) for values in by_value.values()]
        axes.plot(list(by_value), means, color=colour, linewidth=1)
