"""Figures of a study's search: the front, and the parameters against the objectives.

All values are means over the seeds of a trial.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from balpoe.config import CategoricalParameter, Choice, StudySpec
from balpoe.reporting.figures.drawing import (
    INK,
    MARKERS,
    MUTED,
    PALETTE,
    SEQUENTIAL,
    Drawing,
    new_figure,
    styled,
)
from balpoe.reporting.formatting import (
    is_fraction,
    label_and_number,
    label_with_unit,
    parameter_value,
)
from balpoe.study.search.importance import Importance
from balpoe.study.search.planned_trials import point_name
from balpoe.study.selection.candidates import Candidate, OverSeeds, candidates, over_seeds
from balpoe.study.selection.front import mean_front
from balpoe.study.trials.record import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_PAIRS, _COLUMNS = 3, 3
_MOST_NAMED = 12
_ROW_INCHES = 2.0


def scaled(metric: str, value: float) -> float:
    """Return a value in the unit of `label_with_unit`: percent for fractions."""
    return 100 * value if is_fraction(metric) else value


@styled
def front(spec: StudySpec, records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw each pair of objectives, the front named, with the sd over seeds; None without trials.

    A study with one objective is drawn in the order of its trials.
    """
    known = candidates(records)
    if not known:
        return None
    chosen = mean_front(known, spec.objectives)
    pairs = list(itertools.combinations(spec.objectives, 2))[:_MOST_PAIRS]
    figure, panels = new_figure(1, max(1, len(pairs)), height_inches=3.8 if len(pairs) < 2 else 2.8)
    if not pairs:
        [objective] = spec.objectives
        _scatter(panels[0], spec, known, chosen, None, objective)
    for panel, (x, y) in zip(panels, pairs, strict=False):
        _scatter(panel, spec, known, chosen, x, y)
    if len(pairs) < 2:
        panels[0].legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=8, borderaxespad=0.2
        )
    best = "; ".join(
        f"trial {each.number}: "
        + ", ".join(label_and_number(name, each.mean(name)) for name in spec.objectives)
        for each in chosen[:_MOST_NAMED]
    )
    seeds = sorted({len(each.objectives) for each in known})
    return Drawing(
        name="front",
        title="Pareto front" if len(spec.objectives) > 1 else "Objective of each trial",
        caption=(
            f"{len(known)} feasible trials; numbers name those on the front. Means and bars of ± 1 "
            f"standard deviation over the seeds of a trial (n = {' or '.join(map(str, seeds))})."
        ),
        alternative=f"Trials on the front: {best}.",
        figure=figure,
    )


def _scatter(
    axes: Axes,
    spec: StudySpec,
    known: Sequence[Candidate],
    chosen: Sequence[Candidate],
    x: str | None,
    y: str,
) -> None:
    numbers = {each.number for each in chosen}
    for is_chosen, is_point, label, style in (
        (False, False, "trial", {"color": MUTED, "marker": MARKERS[0]}),
        (False, True, "known point", {"color": PALETTE[2], "marker": MARKERS[2]}),
        (True, False, "on the front", {"color": PALETTE[1], "marker": MARKERS[1]}),
        (True, True, "known point on the front", {"color": PALETTE[3], "marker": MARKERS[3]}),
    ):
        members = [
            each
            for each in known
            if (each.number in numbers) == is_chosen
            and (point_name(spec, each.parameters) is not None) == is_point
        ]
        if members:
            _points(axes, members, x, y, label, style)
    for each in chosen[:_MOST_NAMED]:
        place = each.number if x is None else scaled(x, each.mean(x))
        axes.annotate(
            str(each.number),
            (place, scaled(y, each.mean(y))),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set(xlabel="trial" if x is None else label_with_unit(x), ylabel=label_with_unit(y))


def _points(
    axes: Axes,
    members: Sequence[Candidate],
    x: str | None,
    y: str,
    label: str,
    style: Mapping[str, Any],
) -> None:
    y_values = [over_seeds(each.values(y)) for each in members]
    x_values = None if x is None else [over_seeds(each.values(x)) for each in members]
    axes.errorbar(
        [each.number for each in members]
        if x is None or x_values is None
        else [scaled(x, value.mean) for value in x_values],
        [scaled(y, value.mean) for value in y_values],
        xerr=None if x is None or x_values is None else _bars(x, x_values),
        yerr=_bars(y, y_values),
        linestyle="",
        elinewidth=0.7,
        label=label,
        **style,
    )


def _bars(metric: str, values: Sequence[OverSeeds]) -> list[float]:
    return [scaled(metric, value.sd or 0.0) for value in values]


@styled
def parameters(spec: StudySpec, records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw each searched parameter against each objective; None without trials."""
    known = candidates(records)
    if not known or not spec.search:
        return None
    cells = list(itertools.product(spec.search, spec.objectives))
    columns = min(len(spec.objectives) if len(spec.objectives) > 1 else _COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    figure, panels = new_figure(rows, columns, height_inches=rows * _ROW_INCHES + 0.2)
    front_numbers = {each.number for each in mean_front(known, spec.objectives)}
    for panel, (path, objective) in zip(panels, cells, strict=False):
        _slice(panel, spec, known, front_numbers, path, objective)
    for empty in panels[len(cells) :]:
        empty.set_axis_off()
    return Drawing(
        name="parameters",
        title="Parameters against objectives",
        caption=f"{len(known)} feasible trials, means over seeds; squares: on the front.",
        alternative=(
            f"Scatter plots of {', '.join(spec.search)} against "
            f"{', '.join(label_with_unit(name) for name in spec.objectives)}."
        ),
        figure=figure,
    )


def _slice(
    axes: Axes,
    spec: StudySpec,
    known: Sequence[Candidate],
    front_numbers: set[int],
    path: str,
    objective: str,
) -> None:
    places = _places(spec, path, [each.parameters.get(path) for each in known])
    for is_chosen in (False, True):
        members = [
            (place, scaled(objective, each.mean(objective)))
            for each, place in zip(known, places, strict=True)
            if place is not None and (each.number in front_numbers) == is_chosen
        ]
        axes.scatter(
            [x for x, _ in members],
            [y for _, y in members],
            s=18,
            color=PALETTE[1] if is_chosen else PALETTE[0],
            marker=MARKERS[int(is_chosen)],
        )
    parameter = spec.search[path]
    if isinstance(parameter, CategoricalParameter):
        names = [parameter_value(choice) for choice in parameter.choices]
        axes.set_xticks(range(len(names)), names, fontsize=8)
        axes.set_xlim(-0.5, len(names) - 0.5)
    elif parameter.log:
        axes.set_xscale("log")
    axes.set_xlabel(path)
    axes.set_ylabel(label_with_unit(objective, short=True))


def _places(spec: StudySpec, path: str, values: Sequence[Choice | None]) -> list[float | None]:
    """Return the place of each value on an axis; None for a trial without the parameter."""
    parameter = spec.search[path]
    if not isinstance(parameter, CategoricalParameter):
        return [None if value is None else float(value) for value in values]
    index = {choice: float(place) for place, choice in enumerate(parameter.choices)}
    return [None if value is None else index.get(value) for value in values]


@styled
def parallel_coordinates(spec: StudySpec, records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw each trial as a line through its parameters and objectives; None without trials."""
    known = candidates(records)
    if len(known) < 2:
        return None
    from matplotlib import colormaps

    axes_names = [*spec.search, *spec.objectives]
    figure, (axes,) = new_figure(height_inches=3.4)
    columns = [
        _places(spec, path, [each.parameters.get(path) for each in known]) for path in spec.search
    ]
    objectives: list[list[float | None]] = [
        [scaled(name, each.mean(name)) for each in known] for name in spec.objectives
    ]
    columns += objectives
    heights = [list(_scaled_to_unit(column)) for column in columns]
    first = next(iter(spec.objectives))
    rank = np.argsort(np.argsort([scaled(first, each.mean(first)) for each in known]))
    colours = colormaps[SEQUENTIAL](rank / max(1, len(known) - 1))
    chosen = {each.number for each in mean_front(known, spec.objectives)}
    for place, each in enumerate(known):
        line = np.array([column[place] for column in heights], dtype=float)  # None: a gap
        is_chosen = each.number in chosen
        axes.plot(
            line,
            color=colours[place],
            linewidth=2.0 if is_chosen else 0.8,
            alpha=1.0 if is_chosen else 0.6,
            marker="o",
            markersize=3 if is_chosen else 0,
        )
    for place, (name, column) in enumerate(zip(axes_names, columns, strict=True)):
        axes.axvline(place, color=INK, linewidth=0.6)
        for height, text in _ends(spec, name, column):
            axes.annotate(
                text, (place, height), xytext=(3, 2), textcoords="offset points", fontsize=7
            )
    labels = [*spec.search, *(label_with_unit(name, short=True) for name in spec.objectives)]
    axes.set_xticks(range(len(labels)), [text.replace(".", "\n") for text in labels], fontsize=8)
    axes.set(yticks=[], ylim=(-0.06, 1.1))
    axes.grid(visible=False)
    return Drawing(
        name="parallel_coordinates",
        title="Parallel coordinates",
        caption=(
            f"{len(known)} feasible trials; colour: rank in {label_with_unit(first)}, bright is "
            "high; thick: on the front. A line is interrupted where a trial lacks the parameter."
        ),
        alternative=f"Parallel coordinates of {len(known)} trials over {', '.join(axes_names)}.",
        figure=figure,
    )


def _scaled_to_unit(column: Sequence[float | None]) -> Iterator[float | None]:
    present = [value for value in column if value is not None]
    low, high = min(present, default=0.0), max(present, default=1.0)
    for value in column:
        yield None if value is None else 0.5 if high == low else (value - low) / (high - low)


def _ends(
    spec: StudySpec, name: str, column: Sequence[float | None]
) -> Iterator[tuple[float, str]]:
    """Yield height and text of the lowest and the highest value of an axis."""
    present = [value for value in column if value is not None]
    if not present:
        return
    parameter = spec.search.get(name)
    ends = [(0.0, min(present)), (1.0, max(present))]
    if ends[0][1] == ends[1][1]:
        ends = [(0.5, ends[0][1])]
    for height, value in ends:
        if isinstance(parameter, CategoricalParameter):
            yield height, parameter_value(parameter.choices[int(value)])
        else:
            yield height, f"{value:.3g}"


@styled
def importance(found: Sequence[Importance]) -> Drawing | None:
    """Draw the importance of each parameter for each objective; None if there is none."""
    shown = [each for each in found if each.shares]
    if not shown:
        return None
    names = list(dict.fromkeys(path for each in shown for path in each.shares))
    figure, (axes,) = new_figure(height_inches=0.9 + 0.28 * len(names) * len(shown))
    height = 0.8 / len(shown)
    for place, each in enumerate(shown):
        y = np.arange(len(names))[::-1] - (place - (len(shown) - 1) / 2) * height
        axes.barh(
            y,
            [100 * each.shares.get(path, 0.0) for path in names],
            height,
            color=PALETTE[place % len(PALETTE)],
            hatch=("", "//", "..")[place % 3],
            edgecolor="white",
            label=label_with_unit(each.objective),
        )
    axes.set_yticks(np.arange(len(names))[::-1], names)
    axes.set(xlabel="share of the explained variance %", xlim=(0, 100))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    listed = "; ".join(
        f"{label_with_unit(each.objective)}: "
        + ", ".join(f"{path} {100 * share:.0f} %" for path, share in each.shares.items())
        for each in shown
    )
    return Drawing(
        name="importance",
        title="Importance of the parameters",
        caption=(
            f"fANOVA (Hutter et al. 2014) on {shown[0].trials} COMPLETE trials: share of the "
            "variance of a random forest over the search space. With few trials it is uncertain."
        ),
        alternative=f"Importance: {listed}.",
        figure=figure,
    )
