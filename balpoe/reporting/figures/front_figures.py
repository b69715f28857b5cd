"""The front of a study, over each pair of its objectives."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from balpoe.config import StudySpec
from balpoe.reporting.figures.drawing import (
    MARKERS,
    MUTED,
    PALETTE,
    Drawing,
    new_panels,
    styled,
)
from balpoe.reporting.figures.point_labels import label_points
from balpoe.reporting.formatting import label_and_number, label_with_unit, scaled
from balpoe.study.search.planned_trials import point_name
from balpoe.study.selection.candidates import Candidate, candidates, over_seeds
from balpoe.study.selection.front import mean_front
from balpoe.study.trials.record import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_PAIRS = 6
_MOST_NAMED = 12

Pair = tuple[str | None, str]
"""The objectives on both axes; None for the number of the trial."""


@styled
def front(spec: StudySpec, records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw each pair of objectives, the front named, with the sd over seeds.

    A study with one objective is drawn in the order of its trials. None without a COMPLETE trial.
    """
    known, refused = candidates(records), _infeasible(records)
    if not known and not refused:
        return None
    chosen = mean_front(known, spec.objectives)
    every: list[Pair] = list(itertools.combinations(spec.objectives, 2))
    pairs = every[:_MOST_PAIRS] or [(None, objective) for objective in spec.objectives]
    columns = min(2, len(pairs))
    row_inches = 3.4 if columns == 1 else 2.7
    figure, panels = new_panels(len(pairs), columns, base_inches=0.4, row_inches=row_inches)
    for panel, pair in zip(panels, pairs, strict=True):
        _scatter(panel, spec, known, refused, pair)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=4, fontsize=8)
    best = "; ".join(
        f"trial {each.number}: "
        + ", ".join(label_and_number(name, each.mean(name)) for name in spec.objectives)
        for each in chosen[:_MOST_NAMED]
    )
    return Drawing(
        name="front",
        title="Pareto front" if len(spec.objectives) > 1 else "Objective of each trial",
        caption=_caption(known, chosen, refused, len(every)),
        alternative=f"Trials on the front: {best}." if best else "No trial is feasible.",
        figure=figure,
    )


def _caption(
    known: Sequence[Candidate],
    chosen: Sequence[Candidate],
    refused: Sequence[Candidate],
    pairs: int,
) -> str:
    seeds = sorted({len(each.objectives) for each in known})
    parts = [f"{len(known)} feasible trials, of which {len(chosen)} are on the front"]
    if refused:
        parts[0] += f", and {len(refused)} that break a constraint"
    if seeds and seeds[-1] > 1:
        numbers = seed_numbers(seeds)
        parts.append(f"Means and bars of ± 1 standard deviation over n = {numbers} seeds")
    else:
        parts.append("n = 1 seed each, hence no intervals")
    is_cut = len(chosen) > _MOST_NAMED
    of_front = f"the first {_MOST_NAMED} trials" if is_cut else "the trials"
    parts.append(f"Numbers name {of_front} on the front, words the known points")
    if pairs > _MOST_PAIRS:
        parts.append(f"The first {_MOST_PAIRS} of {pairs} pairs of objectives")
    return ". ".join(parts) + "."


def seed_numbers(seeds: Sequence[int]) -> str:
    """Return the numbers of seeds of several trials, in ascending order: `1 or 3`, `1 to 9`."""
    return " or ".join(map(str, seeds)) if len(seeds) < 4 else f"{seeds[0]} to {seeds[-1]}"


def _infeasible(records: Sequence[TrialRecord]) -> list[Candidate]:
    return [
        Candidate(record.identity.number, record.parameters, {0: record.objectives})
        for record in records
        if record.identity.repeat == 0 and record.violations and record.objectives is not None
    ]


def _scatter(
    axes: Axes,
    spec: StudySpec,
    known: Sequence[Candidate],
    refused: Sequence[Candidate],
    pair: Pair,
) -> None:
    chosen = mean_front(known, spec.objectives)
    numbers = {each.number for each in chosen}
    names = {each.number: point_name(spec, each.parameters) for each in known}
    if refused:
        crosses = {"color": MUTED, "marker": "x", "markersize": 4}
        _points(axes, refused, pair, "breaks a constraint", crosses)
    kinds: tuple[tuple[bool, bool, str, dict[str, Any]], ...] = (
        (False, False, "trial", {"color": MUTED, "marker": MARKERS[0]}),
        (False, True, "known point", {"color": PALETTE[2], "marker": MARKERS[2]}),
        (True, False, "on the front", {"color": PALETTE[1], "marker": MARKERS[1]}),
        (True, True, "known point on the front", {"color": PALETTE[3], "marker": MARKERS[3]}),
    )
    for is_chosen, is_point, label, style in kinds:
        members = [
            each
            for each in known
            if (each.number in numbers) == is_chosen
            and (names[each.number] is not None) == is_point
        ]
        if members:
            if len(known) > 100 and not is_chosen and not is_point:
                style |= {"markersize": 3, "alpha": 0.5}
            _points(axes, members, pair, label, style)
    named = [*chosen[:_MOST_NAMED]]
    named += [each for each in known if names[each.number] and each.number not in numbers]
    texts = {each.number: f"{each.number} {names[each.number] or ''}".strip() for each in named}
    labels = [(*_place(each, pair), texts[each.number]) for each in named[: 2 * _MOST_NAMED]]
    label_points(axes, labels, [_place(each, pair) for each in known])
    x, y = pair
    axes.set(xlabel="trial" if x is None else label_with_unit(x), ylabel=label_with_unit(y))


def _place(each: Candidate, pair: Pair) -> tuple[float, float]:
    x, y = pair
    return each.number if x is None else scaled(x, each.mean(x)), scaled(y, each.mean(y))


def _points(
    axes: Axes, members: Sequence[Candidate], pair: Pair, label: str, style: Mapping[str, Any]
) -> None:
    places = [_place(each, pair) for each in members]
    x, y = pair
    axes.errorbar(
        [place for place, _ in places],
        [place for _, place in places],
        xerr=None if x is None else _deviations(members, x),
        yerr=_deviations(members, y),
        linestyle="",
        elinewidth=0.7,
        label=label,
        **style,
    )


def _deviations(members: Sequence[Candidate], metric: str) -> list[float]:
    """Return the sd over the seeds of each trial; 0 for one seed."""
    return [scaled(metric, over_seeds(each.values(metric)).sd or 0.0) for each in members]
