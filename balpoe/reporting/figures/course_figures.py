"""Figures of the course of a study: curves, times, progress and failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from balpoe.config import StudySpec
from balpoe.reporting.figures.drawing import (
    INK,
    MARKERS,
    MUTED,
    PALETTE,
    Drawing,
    new_figure,
    new_panels,
    styled,
)
from balpoe.reporting.figures.scorer_panels import panel_columns
from balpoe.reporting.figures.timeline_lanes import Span, spans_in_lanes
from balpoe.reporting.formatting import label_and_number, label_with_unit, scaled
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.front import mean_front
from balpoe.study.selection.hypervolume import hypervolume, reference_point
from balpoe.study.trials.objectives import losses
from balpoe.study.trials.record import TrialRecord, TrialState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_COLOURED = len(PALETTE)
_MANY = 100
_NOT_RECORDED = "not recorded"
_STOPPED: Mapping[TrialState, tuple[str, str]] = {
    "PRUNED": ("x", "pruned"),
    "FAIL": ("+", "failed"),
}
_ON_HATCH = {"facecolor": "white", "linewidth": 0, "pad": 0.6}
_STATES: dict[TrialState, tuple[str, str, str]] = {
    "COMPLETE": ("complete", PALETTE[0], ""),
    "PRUNED": ("pruned", PALETTE[4], "//"),
    "FAIL": ("failed", PALETTE[1], "xx"),
    "RUNNING": ("running", PALETTE[2], ".."),
}


@styled
def learning_curves(spec: StudySpec, records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw each objective by epoch; None without an evaluated epoch.

    The front is coloured. Markers end the curves of pruned and of failed trials.
    """
    from matplotlib.ticker import MaxNLocator

    curves = [r for r in records if r.identity.repeat == 0 and r.history]
    shown = [name for name in spec.objectives if any(_curve(r, name)[0] for r in curves)]
    if not shown:
        return None
    front = [each.number for each in mean_front(candidates(records), spec.objectives)]
    colours = dict(zip(front[:_MOST_COLOURED], PALETTE, strict=False))
    columns = panel_columns(len(shown))
    figure, panels = new_panels(len(shown), columns, base_inches=0.5, row_inches=2.8)
    for panel, objective in zip(panels, shown, strict=True):
        for rung in spec.rungs:
            panel.axvline(rung, color=INK, linewidth=0.6, linestyle=":")
        for record in sorted(curves, key=lambda r: r.identity.number in colours):
            epochs, values = _curve(record, objective)
            panel.plot(epochs, values, **_curve_style(record, colours, len(curves)))
        _mark_stopped(panel, curves, objective)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        panel.set(xlabel="epoch", ylabel=label_with_unit(objective))
    entries: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="upper center",
            ncols=5,
            fontsize=8,
        )
    stopped = sum(record.state == "PRUNED" for record in curves)
    of_front = f"{len(colours)} of the {len(front)} trials on" if len(colours) < len(front) else ""
    return Drawing(
        name="learning_curves",
        title="Learning curves",
        caption=(
            f"Validation metrics by epoch of {len(curves)} trials, n = 1 seed (the first); "
            f"coloured: {of_front or 'the trials on'} the front; grey: the others."
            + (" Dotted: the epochs at which trials are compared." if spec.rungs else "")
        ),
        alternative=(
            f"Curves of {len(curves)} trials, of which {stopped} were pruned and "
            f"{sum(record.state == 'FAIL' for record in curves)} failed."
        ),
        figure=figure,
    )


def _mark_stopped(axes: Axes, curves: Sequence[TrialRecord], objective: str) -> None:
    """Mark the ends of the curves of pruned and of failed trials."""
    for state, (marker, label) in _STOPPED.items():
        ends = [_curve(record, objective) for record in curves if record.state == state]
        ends = [(epochs, values) for epochs, values in ends if epochs]
        if ends:
            axes.plot(
                [epochs[-1] for epochs, _ in ends],
                [values[-1] for _, values in ends],
                color=INK,
                linestyle="",
                marker=marker,
                markersize=4,
                label=label,
            )


def _curve_style(record: TrialRecord, colours: Mapping[int, str], curves: int) -> dict[str, Any]:
    number = record.identity.number
    if number not in colours:
        return {"color": MUTED, "linewidth": 0.7, "alpha": 0.6 if curves <= _MANY else 0.25}
    return {
        "color": colours[number],
        "linewidth": 1.6,
        "marker": MARKERS[list(colours).index(number)],
        "markersize": 4,
        "markevery": [-1],  # one marker tells the curves apart in grey
        "label": f"trial {number}",
    }


def _curve(record: TrialRecord, metric: str) -> tuple[list[int], list[float]]:
    evaluated = [result for result in record.history if metric in result.metrics]
    return (
        [result.epoch for result in evaluated],
        [scaled(metric, result.metrics[metric]) for result in evaluated],
    )


@styled
def timeline(records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw when each trial and repeat ran, in the lanes of hosts and GPUs; None without a trial.

    A trial whose attempts were not recorded covers the time between them too.
    """
    spans = spans_in_lanes(records)
    if not spans:
        return None
    origin = min(span.start for span in spans)
    hours = max(span.end for span in spans) - origin
    unit, seconds = ("hours", 3600.0) if hours > 3 * 3600 else ("minutes", 60.0)
    lanes = 1 + max(span.lane for span in spans)
    rows = [
        (span.lane, (span.start - origin) / seconds, (span.end - span.start) / seconds, span.record)
        for span in spans
    ]
    most = max(12, len({span.place for span in spans}) / 2)  # room for the name of each place
    figure, (axes,) = new_figure(height_inches=1.2 + 0.3 * min(lanes, most))
    for state, (label, colour, hatch) in _STATES.items():
        members = [row for row in rows if row[3].state == state]
        if members:
            axes.barh(
                [lane for lane, *_ in members],
                [length for _, _, length, _ in members],
                left=[start for _, start, _, _ in members],
                height=0.8,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.5,
                label=label,
            )
    if len(rows) <= 60:
        total = hours / seconds
        for lane, start, length, record in rows:
            if length > 0.025 * total:
                number = record.identity.number
                text = (
                    f"{number}.{record.identity.repeat}" if record.identity.repeat else f"{number}"
                )
                axes.text(
                    start + length / 2,
                    lane,
                    text,
                    ha="center",
                    va="center",
                    fontsize=6,
                    color="white" if record.state == "COMPLETE" else INK,
                    bbox=None if record.state == "COMPLETE" else _ON_HATCH,
                )
    axes.set(xlabel=f"{unit} since the first trial began")
    places = _lane_names(axes, spans)
    axes.set_ylim(lanes - 0.5, -0.5)
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="y")
    figure.legend(loc="upper center", ncols=4, fontsize=8)
    trials = len({(span.record.identity.number, span.record.identity.repeat) for span in spans})
    return Drawing(
        name="timeline",
        title="Timeline",
        caption=(
            f"Attempts at {trials} trials and repeats (trial.repeat)"
            + (
                f" on {places}: a lane for each that ran at the same time there."
                if any(span.place for span in spans)
                else ", a lane for each that ran at the same time; their hosts are not recorded."
            )
        ),
        alternative=f"{trials} trials and repeats ran in at most {lanes} lanes.",
        figure=figure,
    )


def _lane_names(axes: Axes, spans: Sequence[Span]) -> str:
    """Name the first lane of each place on the axis, or number lanes of unknown places.

    Returns:
        `2 hosts and GPUs`, or the place if there is only one.
    """
    from matplotlib.ticker import MaxNLocator

    first: dict[str, int] = {}
    for span in spans:
        first[span.place] = min(span.lane, first.get(span.place, span.lane))
    if set(first) == {""}:
        axes.set_ylabel("lane")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
        return ""
    axes.set_yticks(list(first.values()), [place or _NOT_RECORDED for place in first])
    return f"{len(first)} hosts and GPUs" if len(first) > 1 else next(iter(first))


@styled
def progress(spec: StudySpec, records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw the hypervolume of the trials so far against the epochs spent; None below two trials.

    For one objective the best value so far is drawn.
    """
    ended = sorted(
        (
            r
            for r in records
            if r.identity.repeat == 0 and r.state in ("COMPLETE", "PRUNED", "FAIL")
        ),
        key=lambda record: (record.ended or 0.0, record.identity.number),
    )
    complete = [r for r in ended if r.objectives is not None and not r.violations]
    if len(complete) < 2:
        return None
    losses_nm = np.array([losses(r.objectives or {}, spec.objectives) for r in complete])
    reference_m = reference_point(losses_nm)
    epochs, values = [], []
    spent, so_far = 0, 0
    for record in ended:
        spent += record.history[-1].epoch if record.history else 0
        if so_far < len(complete) and record is complete[so_far]:
            so_far += 1
            epochs.append(spent)
            values.append(_progress_value(spec, losses_nm[:so_far], reference_m))
    figure, (axes,) = new_figure(height_inches=2.8)
    marker = MARKERS[0] if len(epochs) <= _MANY else ""
    axes.step(epochs, values, where="post", color=PALETTE[0], marker=marker, markersize=3)
    [*objectives] = spec.objectives
    label = "hypervolume" if len(objectives) > 1 else f"best {label_with_unit(objectives[0])}"
    axes.set(xlabel="epochs spent", ylabel=label)
    final = f"{values[-1]:.4g}"
    if len(objectives) == 1:
        sign = -1 if spec.objectives[objectives[0]] == "maximize" else 1
        final = label_and_number(objectives[0], sign * float(losses_nm.min()))
    return Drawing(
        name="progress",
        title="Progress of the search",
        caption=(
            f"{label[0].upper()}{label[1:]} of the feasible trials so far, after each of "
            f"{len(complete)} (n = 1 seed, the first). All epochs of the search "
            "count, those of pruned and failed trials too."
            + (
                " The reference point is the worst value of each objective among these trials."
                if len(objectives) > 1
                else ""
            )
        ),
        alternative=f"After {spent} epochs: {final}.",
        figure=figure,
    )


def _progress_value(
    spec: StudySpec, losses_nm: np.ndarray[Any, np.dtype[np.float64]], reference_m: Any
) -> float:
    if len(spec.objectives) > 1:
        return hypervolume(losses_nm, reference_m)
    [(name, direction)] = spec.objectives.items()
    return scaled(name, (-1 if direction == "maximize" else 1) * float(losses_nm.min()))


@styled
def failures(records: Sequence[TrialRecord]) -> Drawing | None:
    """Draw the number of failed trials and repeats by class of failure; None without any."""
    counts = Counter(
        record.failure_class or _NOT_RECORDED for record in records if record.state == "FAIL"
    )
    if not counts:
        return None
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = new_figure(height_inches=0.9 + 0.35 * len(counts))
    names = sorted(counts, key=lambda name: (-counts[name], name))
    bars = axes.barh(range(len(names)), [counts[name] for name in names], color=PALETTE[1])
    axes.bar_label(bars, padding=3, fontsize=8)
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel="failed trials and repeats")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    listed = ", ".join(f"{name} {counts[name]}" for name in names)
    return Drawing(
        name="failures",
        title="Failures by class",
        caption=f"{sum(counts.values())} of {len(records)} trials and repeats failed.",
        alternative=f"Failures: {listed}.",
        figure=figure,
    )
