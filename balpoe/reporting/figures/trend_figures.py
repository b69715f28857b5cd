"""Metrics across the trials of a study against a parameter, as figures of the paper show them.

Aimar et al. 2023: KL over α (Figure 3a), accuracy and ECE over λ̄ (4) and the number of experts (5).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from balpoe.config import StudySpec
from balpoe.reporting.figures.drawing import INK, PALETTE, Drawing, new_figure, styled
from balpoe.reporting.figures.front_figures import scaled
from balpoe.reporting.formatting import label_with_unit
from balpoe.study.selection.candidates import candidates, metrics_over_seeds
from balpoe.study.trials.record import TrialRecord

_TRENDS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "mixup.alpha": ("kl_over_alpha", "α of mixup", ("val/kl_to_target_prior",)),
    "experts.centre": ("over_mean_lambda", "λ̄", ("val/balanced_accuracy", "val/balanced_ece")),
    "experts.count": (
        "over_experts",
        "number of experts",
        ("val/balanced_accuracy", "val/balanced_ece"),
    ),
}
_FEWEST_TRIALS = 3


def trends(spec: StudySpec, records: Sequence[TrialRecord]) -> Iterator[Drawing]:
    """Yield a figure for each parameter of the paper's figures that the study searches."""
    known = [each.number for each in candidates(records)]
    parameters = {r.identity.number: r.parameters for r in records if r.identity.repeat == 0}
    for path, (name, label, metrics) in _TRENDS.items():
        points: dict[float, list[Mapping[str, float]]] = defaultdict(list)
        for number in known:
            value = parameters[number].get(path)
            if path in spec.search and value is not None:
                means = {k: v.mean for k, v in metrics_over_seeds(records, number).items()}
                points[float(value)].append(means)
        every = [means for each in points.values() for means in each]
        present = [metric for metric in metrics if any(metric in means for means in every)]
        if len(points) >= _FEWEST_TRIALS and present:
            yield _trend(name, label, present, points)


@styled
def _trend(
    name: str,
    label: str,
    metrics: Sequence[str],
    points: Mapping[float, Sequence[Mapping[str, float]]],
) -> Drawing:
    figure, panels = new_figure(1, len(metrics), height_inches=2.7)
    trials = sum(map(len, points.values()))
    for panel, metric, colour in zip(panels, metrics, PALETTE, strict=False):
        found = {x: [m[metric] for m in each if metric in m] for x, each in points.items()}
        found = {x: values for x, values in sorted(found.items()) if values}
        for x, values in found.items():
            heights = [scaled(metric, value) for value in values]
            panel.scatter([x] * len(heights), heights, s=14, color=colour, alpha=0.7)
        if 2 * len(found) <= trials:  # else most means are of a single trial
            means = [scaled(metric, sum(values) / len(values)) for values in found.values()]
            panel.plot(list(found), means, color=INK, linewidth=1)
        panel.set(xlabel=label, ylabel=label_with_unit(metric))
    shown = " and ".join(label_with_unit(metric) for metric in metrics)
    return Drawing(
        name=name,
        title=f"{shown} over {label}",
        caption=(
            f"{trials} feasible trials, means over seeds; other parameters differ too. A line "
            "joins the means of trials with the same value."
        ),
        alternative=f"Scatter plot of {shown} of {trials} trials over {label}.",
        figure=figure,
    )
