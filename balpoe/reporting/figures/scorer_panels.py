"""The ensemble and the experts as named panels and series, and classes from head to tail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from balpoe.evaluation.prediction_summary import PredictionSummary, ScorerSummary
from balpoe.reporting.figures.drawing import INK, MARKERS, PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMED_CLASSES: Final = 30
"""The most classes whose names stand at an axis; more classes are numbered from head to tail."""

_LONGEST_NAME: Final = 14
_SPLITS: Final = {"val": "validation", "test": "test"}


@dataclass(frozen=True, slots=True)
class NamedScorer:
    """The ensemble or an expert with its name and style."""

    name: str
    summary: ScorerSummary
    colour: str
    marker: str

    @property
    def name_and_lambda(self) -> str:
        """The name with its λ, if it has a single one: `expert 0, λ = 1`."""
        if self.summary.lam is None:
            return self.name
        symbol = "λ̄" if self.is_ensemble else "λ"
        return f"{self.name}, {symbol} = {self.summary.lam:.2g}"

    @property
    def is_ensemble(self) -> bool:
        """Whether it is the product of several experts."""
        return self.name == "ensemble"

    @property
    def marker_size(self) -> float:
        """The size of its marker in points; a star looks smaller than others."""
        return 9 if self.marker == "*" else 4.5


def named_scorers(summary: PredictionSummary) -> tuple[NamedScorer, ...]:
    """Return the ensemble and the experts; a single expert is the ensemble and is one scorer."""
    if len(summary.experts) == 1:
        return (NamedScorer("single expert", summary.ensemble, PALETTE[0], MARKERS[0]),)
    experts = (
        NamedScorer(f"expert {e}", expert, PALETTE[e % len(PALETTE)], MARKERS[e % len(MARKERS)])
        for e, expert in enumerate(summary.experts)
    )
    return (NamedScorer("ensemble", summary.ensemble, INK, "*"), *experts)


def panel_columns(panels: int) -> int:
    """Return the number of columns in which panels are arranged: 2 for four panels, at most 3."""
    return 2 if panels == 4 else min(panels, 3)


def class_order(summary: PredictionSummary) -> list[int]:
    """Return the classes from head to tail; classes with as many images keep their order."""
    return sorted(range(len(summary.class_names)), key=lambda y: -summary.train_counts_c[y])


def name_classes(axes: Axes, summary: PredictionSummary, size: float = 8) -> None:
    """Label the x axis, which has the classes from head to tail, with names where there is room."""
    order = class_order(summary)
    axes.set_xlabel("class, head to tail")
    if len(order) > MOST_NAMED_CLASSES:
        return
    names = [shown_name(summary.class_names[y]) for y in order]
    is_long = sum(max(len(name), 3) for name in names) > 60
    axes.set_xticks(range(len(order)), names, rotation=90 if is_long else 0, fontsize=size)


def shown_name(name: str) -> str:
    """Return a name in one short line: control characters become spaces, a long name is cut."""
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return line if len(line) <= _LONGEST_NAME else f"{line[: _LONGEST_NAME - 1]}…"


def images_of(summary: PredictionSummary) -> str:
    """Return the images of a figure: `1,000 validation images of 10 classes`."""
    split, classes = _SPLITS[summary.split], len(summary.images_c)
    text = f"{sum(summary.images_c):,} {split} images of {classes:,} classes"
    without = sum(not count for count in summary.images_c)
    return f"{text} ({without:,} of them have no images)" if without else text


def percent(value: float | None) -> float:
    """Return a fraction in percent; NaN, which is not drawn, for None."""
    return math.nan if value is None else 100 * value
