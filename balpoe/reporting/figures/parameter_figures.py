"""The searched parameters against the objectives.

All values are means over the seeds of a trial.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from balpoe.config import CategoricalParameter, Choice, IntParameter, StudySpec
from balpoe.reporting.figures.drawing import (
    INK,
    MARKERS,
    PALETTE,
    Drawing,
    line_colours,
    logarithmic,
    new_figure,
    new_panels,
    styled,
)
from balpoe.reporting.formatting import label_with_unit, parameter_value, scaled
from balpoe.study.search.importance import Importance
from balpoe.study.selection.candidates import Candidate, candidates
from balpoe.study.selection.front import mean_front
from balpoe.study.trials.record import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_COLUMNS = 3
_MANY = 100
_HATCHES = ("", "//", "..", "xx", "--", "++", "oo")


@styled
def parameters(spec: StudySpec, records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw each searched parameter against each objective; None without feasible trials."""
    known = candidates(records)
    if not known:
        return None
    cells = list(itertools.product(spec.search, spec.objectives))
    objectives = len(spec.objectives)
    columns = objectives if 1 < objectives <= _MOST_COLUMNS else 2 if objectives == 4 else 3
    columns = min(columns, len(cells))
    figure, panels = new_panels(len(cells), columns, base_inches=0.2, row_inches=2.0)
    front_numbers = {each.number for each in mean_front(known, spec.objectives)}
    for panel, (path, objective) in zip(panels, cells, strict=True):
        _slice(panel, spec, known, front_numbers, path, objective)
    lacking = {
        path: sum(path not in each.parameters for each in known)
        for path in spec.search
        if any(path not in each.parameters for each in known)
    }
    listed = ", ".join(f"{path} in {number}" for path, number in lacking.items())
    return Drawing(
        name="parameters",
        title="Parameters against objectives",
        caption=(
            f"{len(known)} feasible trials, means over seeds; squares: on the front. The axes span "
            f"the search space.{f' Trials without the parameter: {listed}.' if lacking else ''}"
        ),
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
    places = _places(spec, path, known)
    for is_chosen in (False, True):
        members = [
            (place, scaled(objective, each.mean(objective)))
            for each, place in zip(known, places, strict=True)
            if place is not None and (each.number in front_numbers) == is_chosen
        ]
        axes.scatter(
            [x for x, _ in members],
            [y for _, y in members],
            s=8 if len(members) > _MANY else 18,
            alpha=1.0 if is_chosen else 0.7,
            color=PALETTE[1] if is_chosen else PALETTE[0],
            marker=MARKERS[int(is_chosen)],
        )
    _parameter_axis(axes, spec, path, [place for place in places if place is not None])
    axes.set_xlabel(path)
    axes.set_ylabel(_wrapped(label_with_unit(objective, short=True), 18))


def _parameter_axis(axes: Axes, spec: StudySpec, path: str, places: Sequence[float]) -> None:
    """Let the axis span the search space, and the known points outside of it."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    parameter = spec.search[path]
    if isinstance(parameter, CategoricalParameter):
        names = [parameter_value(choice) for choice in parameter.choices]
        is_tight = sum(map(len, names)) > 18
        axes.set_xticks(range(len(names)), names, fontsize=7, rotation=20 if is_tight else 0)
        axes.set_xlim(-0.5, len(names) - 0.5)
        return
    low, high = min(parameter.low, *places, parameter.high), max(parameter.high, *places)
    if parameter.log and low > 0:
        axes.set_xscale("log")
        logarithmic(axes.xaxis)
        axes.tick_params(axis="x", labelsize=7)
        if high >= 100 * low:
            axes.xaxis.set_major_locator(LogLocator(numticks=5))
        margin = (high / low) ** 0.05
        axes.set_xlim(low / margin, high * margin)
        return
    if isinstance(parameter, IntParameter):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))
    margin = 0.05 * (high - low) or 0.5
    axes.set_xlim(low - margin, high + margin)


def _places(spec: StudySpec, path: str, known: Sequence[Candidate]) -> list[float | None]:
    """Return the place of each trial on an axis; None for a trial without the parameter."""
    parameter = spec.search[path]

    def place(value: Choice | None) -> float | None:
        if value is None:
            return None
        if not isinstance(parameter, CategoricalParameter):
            return float(value)
        # a known point may have another value
        return float(parameter.choices.index(value)) if value in parameter.choices else None

    return [place(each.parameters.get(path)) for each in known]


@styled
def parallel_coordinates(spec: StudySpec, records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw each trial as a line through its parameters and objectives; None below two trials."""
    known = candidates(records)
    if len(known) < 2:
        return None
    figure, (axes,) = new_figure(height_inches=3.4)
    columns = [_places(spec, path, known) for path in spec.search]
    objectives: list[list[float | None]] = [
        [scaled(name, each.mean(name)) for each in known] for name in spec.objectives
    ]
    columns += objectives
    names = [*spec.search, *spec.objectives]
    heights_an = [list(_heights(spec, *pair)) for pair in zip(names, columns, strict=True)]
    first, direction = next(iter(spec.objectives.items()))
    sign = -1 if direction == "maximize" else 1
    rank = np.argsort(np.argsort([sign * each.mean(first) for each in known], kind="stable"))
    colours = line_colours()(rank / (len(known) - 1))  # the best trials are the darkest
    chosen = {each.number for each in mean_front(known, spec.objectives)}
    for n in sorted(range(len(known)), key=lambda n: (known[n].number in chosen, -rank[n])):
        is_chosen = known[n].number in chosen
        axes.plot(
            np.array([heights[n] for heights in heights_an], dtype=float),  # None: a gap
            color=colours[n],
            linewidth=2.0 if is_chosen else 0.8,
            alpha=1.0 if is_chosen else 0.6 if len(known) <= _MANY else 0.25,
            marker="o",
            markersize=3 if is_chosen else 1.5,
        )
    for place, (name, column) in enumerate(zip(names, columns, strict=True)):
        axes.vlines(place, 0, 1, color=INK, linewidth=0.6)
        for height, text in _ends(spec, name, column):
            axes.annotate(
                text,
                (place, height),
                xytext=(0, -4 if height == 0 else 4),
                textcoords="offset points",
                fontsize=7,
                horizontalalignment="center",
                verticalalignment="top" if height == 0 else "bottom",
            )
    labels = [path.replace(".", ".\n") for path in spec.search]
    labels += [_wrapped(label_with_unit(name, short=True), 11) for name in spec.objectives]
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set(yticks=[], ylim=(-0.1, 1.1), xlim=(-0.4, len(labels) - 0.6))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    return Drawing(
        name="parallel_coordinates",
        title="Parallel coordinates",
        caption=(
            f"{len(known)} feasible trials, means over seeds; colour: rank in "
            f"{label_with_unit(first)}, the best is the darkest; thick: on the front. Each axis "
            "spans the values of the trials. A line has a gap where a trial lacks the parameter."
        ),
        alternative=(
            f"Parallel coordinates of {len(known)} trials over "
            f"{', '.join([*spec.search, *map(label_with_unit, spec.objectives)])}."
        ),
        figure=figure,
    )


def _heights(spec: StudySpec, name: str, column: Sequence[float | None]) -> Iterator[float | None]:
    """Yield the places between 0 and 1 of the values of an axis, which may be logarithmic."""
    parameter = spec.search.get(name)
    present = [value for value in column if value is not None]
    has_log = parameter is not None and not isinstance(parameter, CategoricalParameter)
    if has_log and getattr(parameter, "log", False) and min(present, default=0.0) > 0:
        column = [None if value is None else math.log(value) for value in column]
        present = [math.log(value) for value in present]
    low, high = min(present, default=0.0), max(present, default=1.0)
    for value in column:
        yield None if value is None else 0.5 if high == low else (value - low) / (high - low)


def _ends(
    spec: StudySpec, name: str, column: Sequence[float | None]
) -> Iterator[tuple[float, str]]:
    """Yield height and text of the lowest and the highest value of an axis, and of each choice."""
    places = sorted({value for value in column if value is not None})
    heights = list(_heights(spec, name, places))
    parameter = spec.search.get(name)
    for n, (place, height) in enumerate(zip(places, heights, strict=True)):
        if height is None:
            continue
        if isinstance(parameter, CategoricalParameter):
            yield height, parameter_value(parameter.choices[int(place)])
        elif n in (0, len(places) - 1):
            yield height, f"{place:.3g}"


@styled
def importance(found: Sequence[Importance]) -> Drawing | None:
    """Draw the importance of each parameter for each objective; None if there is none."""
    shown = [each for each in found if each.shares]
    if not shown:
        return None
    names = list(dict.fromkeys(path for each in shown for path in each.shares))
    figure, (axes,) = new_figure(
        height_inches=0.9 + min(0.28, 0.8 / len(shown)) * len(names) * len(shown)
    )
    height = 0.8 / len(shown)
    for place, each in enumerate(shown):
        y = np.arange(len(names))[::-1] - (place - (len(shown) - 1) / 2) * height
        axes.barh(
            y,
            [100 * each.shares.get(path, 0.0) for path in names],
            height,
            color=PALETTE[place % len(PALETTE)],
            hatch=_HATCHES[place % len(_HATCHES)],
            edgecolor="white",
            label=label_with_unit(each.objective),
        )
    axes.set_yticks(np.arange(len(names))[::-1], names)
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="share of the explained variance %", xlim=(0, 100))
    figure.legend(loc="upper center", ncols=3, fontsize=8)
    listed = "; ".join(
        f"{label_with_unit(each.objective)}: "
        + ", ".join(f"{path} {100 * share:.0f} %" for path, share in each.shares.items())
        for each in shown
    )
    missing = "".join(
        f" None for {label_with_unit(each.objective)}: {each.reason}."
        for each in found
        if not each.shares
    )
    return Drawing(
        name="importance",
        title="Importance of the parameters",
        caption=(
            f"fANOVA (Hutter et al. 2014) on {shown[0].trials} COMPLETE trials: share of the "
            "variance of a random forest over the search space. With few trials it is "
            f"uncertain.{missing}"
        ),
        alternative=f"Importance: {listed}.",
        figure=figure,
    )


def _wrapped(text: str, width: int) -> str:
    """Return a text in lines of about `width` characters; a longer word stays whole."""
    return "\n".join(textwrap.wrap(text, width, break_long_words=False)) or text
