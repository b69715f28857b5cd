"""Tables of the metrics of trained models on the test set and on its long-tailed cuts.

`seeds` holds the final evaluation of each model; the models differ only in their seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from balpoe.config import metric_table, shift_metrics
from balpoe.config.shifts import KNOWN_PRIOR, WHOLE_TEST
from balpoe.reporting.formatting import (
    FLOOR_NOTE,
    NO_VALUE,
    bare_number,
    figures_of_seeds,
    label_with_unit,
    mean_and_sd,
)
from balpoe.reporting.table_style import Cell, CellTable, number_cell, table_of, text_cell
from balpoe.study.selection.candidates import over_seeds
from balpoe.study.selection.side_by_side import distinct_metrics


class ScoredDistribution(Protocol):
    """The metrics on one test distribution, just computed or read from the files of a model.

    `balpoe.evaluation.distributions.DistributionEvaluation` is one.
    """

    @property
    def distribution(self) -> str:
        """The name of the distribution: `test`, `forward_10`."""

    @property
    def images(self) -> int:
        """The number of images."""

    @property
    def effective_images(self) -> float:
        """The effective sample size of the weighted images."""

    @property
    def known_prior(self) -> bool:
        """Whether the predictions are adjusted to the class frequencies."""

    @property
    def is_weighted(self) -> bool:
        """Whether all images are used, weighted by class."""

    @property
    def split(self) -> str:
        """The prefix of the metrics: `test_forward_10_known_prior`."""

    def scalars(self) -> Mapping[str, float]:
        """Return the metrics by name, empty if the distribution cannot be measured."""


FinalEvaluation = Sequence[ScoredDistribution]
Scalars = Sequence[Mapping[str, float]]  # of each seed, such as `test_forward_10/expert_0/ece`


def evaluation_table(model: str, seeds: Sequence[FinalEvaluation]) -> CellTable:
    """Accuracy and ECE on every test distribution, without and with its prior."""
    scalars = _scalars(seeds)
    return table_of(
        f"{model}: {figures_of_seeds(len(seeds))}",
        (_evaluation_cells(scalars, row) for row in seeds[0] if not row.known_prior),
        "prior known: logits adjusted to the class frequencies of the test set\n"
        f"{FLOOR_NOTE} with these confidences\n"
        f"eff. images: effective sample size (Σw)²/Σw² of their weights"
        f"{_weighted_shifts(seeds)}{_why_dashes(seeds)}",
        dense=True,  # nine columns fit 80 characters
        rule_after_first=True,  # the whole test set
    )


def _evaluation_cells(scalars: Scalars, row: ScoredDistribution) -> Iterator[Cell]:
    name = distribution_name(row.distribution)
    yield text_cell("test set", name, style="bold", no_wrap=True)
    yield number_cell("images", f"{row.images:,}")
    yield number_cell("eff.\nimages", f"{row.effective_images:,.0f}")
    for head, suffix in (("prior\nunknown\n", ""), ("prior\nknown\n", KNOWN_PRIOR)):
        for metric in shift_metrics():
            value = _value(scalars, f"{row.split}{suffix}/{metric}", "")
            yield number_cell(head + label_with_unit(metric, short=True), value)
            floor = metric_table()[metric].floor
            if floor is not None:
                yield number_cell("\n\nfloor", _mean(scalars, f"{row.split}{suffix}/{floor}"))


def _weighted_shifts(seeds: Sequence[FinalEvaluation]) -> str:
    shifts = [row for row in seeds[0] if row.distribution != WHOLE_TEST and not row.known_prior]
    weighted = [distribution_name(row.distribution) for row in shifts if row.is_weighted]
    if not weighted:
        return ""
    names = "all shifts" if len(weighted) == len(shifts) else ", ".join(weighted)
    return f"\n{names}: the classes of all images are weighted"


def _why_dashes(seeds: Sequence[FinalEvaluation]) -> str:
    missing = not all(row.scalars() for row in seeds[0])
    return "\n–: a class has no test images" if missing else ""


def detail_table(seeds: Sequence[FinalEvaluation], shown_lambdas: Sequence[str] = ()) -> CellTable:
    """Every metric on the whole test set: a column for the ensemble and each of the experts."""
    scalars = _scalars(seeds)
    names = {WHOLE_TEST: "product"}
    for i, lam in enumerate(shown_lambdas):
        names[f"{WHOLE_TEST}/expert_{i}"] = f"expert {i}\nλ {lam}"
    every = [f"{WHOLE_TEST}/{metric}" for metric in metric_table()]
    shown = [name.removeprefix(f"{WHOLE_TEST}/") for name in distinct_metrics(every, scalars)]
    return table_of(
        f"{distribution_name(WHOLE_TEST)} in detail: {figures_of_seeds(len(seeds))}",
        (_detail_cells(scalars, metric, names) for metric in shown),
        "NLL and KL in nats",
    )


def _detail_cells(scalars: Scalars, metric: str, names: Mapping[str, str]) -> Iterator[Cell]:
    yield text_cell("metric", label_with_unit(metric), style="bold")
    for scorer, name in names.items():
        yield number_cell(name, _value(scalars, f"{scorer}/{metric}"))


def distribution_name(distribution: str) -> str:
    """The name of a test distribution on screen: `forward 10`."""
    return "whole test set" if distribution == WHOLE_TEST else distribution.replace("_", " ")


def _scalars(seeds: Sequence[FinalEvaluation]) -> Scalars:
    return [{k: value for row in seed for k, value in row.scalars().items()} for seed in seeds]


def _mean(scalars: Scalars, name: str) -> str:
    if name not in scalars[0]:
        return NO_VALUE
    return bare_number(name, over_seeds([of_seed[name] for of_seed in scalars]).mean)


def _value(scalars: Scalars, name: str, separator: str = " ") -> str:
    """The mean and standard deviation of a metric; a dash where it was not measured."""
    if name not in scalars[0]:
        return NO_VALUE
    return mean_and_sd(name, over_seeds([of_seed[name] for of_seed in scalars]), separator)
