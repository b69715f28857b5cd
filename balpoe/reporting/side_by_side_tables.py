"""Tables of trained models side by side on the test set, with their differences from the first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from balpoe.config import metric_table, shift_metrics
from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS, WHOLE_TEST
from balpoe.reporting.evaluation_tables import distribution_name
from balpoe.reporting.formatting import (
    FLOOR_NOTE,
    NO_VALUE,
    bare_number,
    is_fraction,
    label_with_unit,
    mean_and_sd,
    signed_number,
)
from balpoe.reporting.table_style import Cell, CellTable, number_cell, table_of, text_cell
from balpoe.study.selection.candidates import over_seeds
from balpoe.study.selection.comparison import Difference
from balpoe.study.selection.side_by_side import ModelDifferences, SeedMetrics

_NAME_WIDTH = 20
_FAMILY = "all differences shown are one family: at most about 5 % wrong in all"


def side_by_side_tables(
    paths: Sequence[Path],
    models: Sequence[SeedMetrics],
    differences: Sequence[ModelDifferences],
    images: int | None,
) -> Iterator[CellTable]:
    """Yield the figures of all models, and the differences from the first one.

    Args:
        paths: The models.
        models: The metrics of their seeds.
        differences: The differences of all but the first one from it.
        images: The number of test images; None if it is not known.
    """
    names = _short_names(paths)
    whole = [name for name in differences[0].differences if name.startswith(f"{WHOLE_TEST}/")]
    yield table_of(
        distribution_name(WHOLE_TEST) + ("" if images is None else f", {images:,} images"),
        (_figure_cells(name, model, whole) for name, model in zip(names, models, strict=True)),
        f"mean ± sd over n seeds; {FLOOR_NOTE}{_balanced_floor(whole)}",
    )
    yield table_of(
        f"Differences from {names[0]}",
        (
            _difference_cells(_folded(name) if metric == whole[0] else "", metric, found)
            for name, found in zip(names[1:], differences, strict=True)
            for metric in whole
        ),
        f"paired over n shared seeds; an interval excludes 0 where models are separable\n{_FAMILY}",
    )
    for name, found in zip(names[1:], differences, strict=True):
        if len(found.differences) > len(whole):
            yield table_of(
                f"{name} minus {names[0]} on shifts: n = {len(found.seeds)} shared seeds",
                (_shift_cells(shift.name, found.differences) for shift in SHIFTS),
                f"*: separable\n{_FAMILY}",
            )


def untested_models(paths: Sequence[Path], differences: Sequence[ModelDifferences]) -> list[str]:
    """Return for each model that was not tested against the first one why."""
    names = _short_names(paths)[1:]
    return [
        f"{name} is not tested: {found.reason}"
        for name, found in zip(names, differences, strict=True)
        if found.reason is not None
    ]


def _balanced_floor(metrics: Sequence[str]) -> str:
    has_balanced = f"{WHOLE_TEST}/balanced_ece" in metrics
    return ", their mean balanced ECE beside balanced ECE" if has_balanced else ""


def _figure_cells(name: str, model: SeedMetrics, metrics: Sequence[str]) -> Iterator[Cell]:
    yield text_cell("model", name, style="bold", overflow="fold")
    for metric in metrics:
        figures = over_seeds([values[metric] for values in model.values()])
        yield number_cell(label_with_unit(metric), mean_and_sd(metric, figures))
        floor = metric_table()[metric.rpartition("/")[2]].floor
        if floor is not None:
            name_of_floor = f"{WHOLE_TEST}/{floor}"
            floors = [values[name_of_floor] for values in model.values()]
            yield number_cell("\nfloor", bare_number(name_of_floor, fmean(floors)))
    yield number_cell("n", str(len(model)))


def _difference_cells(name: str, metric: str, found: ModelDifferences) -> Iterator[Cell]:
    difference = found.differences[metric]
    yield text_cell("model", name, style="bold", overflow="fold")
    yield text_cell("metric", label_with_unit(metric), no_wrap=True)
    yield number_cell("difference", _signed(metric, difference), style="green")
    yield number_cell("interval", _interval(metric, difference))
    yield number_cell("n", str(len(found.seeds)))
    yield text_cell("verdict", difference.verdict, no_wrap=True)


def _shift_cells(shift: str, differences: Mapping[str, Difference]) -> Iterator[Cell]:
    yield text_cell("test set", distribution_name(shift), style="bold", no_wrap=True)
    for head, suffix in (("prior unknown", ""), ("prior known", KNOWN_PRIOR)):
        for metric in shift_metrics():
            name = f"{WHOLE_TEST}_{shift}{suffix}/{metric}"
            text = NO_VALUE
            if name in differences:
                found = differences[name]
                star = " *" if found.verdict == "separable" else ""
                text = f"{_signed(name, found)}{star}\n{_interval(name, found)}"
            yield number_cell(f"{head}\n{label_with_unit(metric)}", text)


def _signed(metric: str, difference: Difference) -> str:
    return NO_VALUE if difference.mean is None else signed_number(metric, difference.mean)


def _interval(metric: str, difference: Difference) -> str:
    """`-4.1 to +0.3`; a dash if it is wider than ±100 points of a fraction."""
    if difference.interval is None or difference.smallest is None:
        return NO_VALUE
    if is_fraction(metric) and difference.smallest > 1:
        return NO_VALUE
    low, high = difference.interval
    return f"{signed_number(metric, low)} to {signed_number(metric, high)}"


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The names of the directories without the words that all begin with; paths of equal names.

    No name is empty: where one is a beginning of another, both stay whole.
    """
    names = [path.absolute().name for path in paths]
    if len(set(names)) < len(names) or not all(names):
        return [str(path) for path in paths]
    words = [name.split("_") for name in names]
    most, common = min(map(len, words)), 0
    while common < most and len({each[common] for each in words}) == 1:
        common += 1
    shortened = ["_".join(each[common:]) for each in words]
    return shortened if all(shortened) else names


def _folded(name: str) -> str:
    """Return a long name on several lines, each of which but the last ends in an underscore."""
    lines = [""]
    for word in re.split(r"(?<=_)", name):
        if lines[-1] and len(lines[-1] + word) > _NAME_WIDTH:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)
