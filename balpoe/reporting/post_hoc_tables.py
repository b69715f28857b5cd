"""What choices after the training are worth: priors, temperatures and subsets of experts.

`seeds` are the post-hoc evaluations of models that differ in their seed alone, one each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from balpoe.config import shift_metrics
from balpoe.evaluation.distributions import WHOLE_TEST
from balpoe.evaluation.post_hoc import PostHocEvaluation, PriorKnowledge, Scorer
from balpoe.reporting.evaluation_tables import distribution_name
from balpoe.reporting.formatting import label_with_unit, mean_and_sd
from balpoe.reporting.table_style import plain_table
from balpoe.study.selection.candidates import over_seeds
from balpoe.training.model_directory import Calibration

_PRIORS: tuple[PriorKnowledge, ...] = ("unknown", "known", "estimated")
_EXTREMES = (WHOLE_TEST, "forward_50", "backward_50")

PostHoc = Sequence[PostHocEvaluation]


def post_hoc_tables(
    seeds: Sequence[PostHoc], lambdas: Sequence[float], calibration: Calibration
) -> Iterator[RenderableType]:
    """A table for each of the choices; a line in place of temperatures that there are not."""
    everyone = seeds[0][0].scorer
    yield _prior_table(seeds, everyone)
    if calibration.temperatures is None:
        yield f"No temperatures: {calibration.origin}.\n"
    else:
        yield _temperature_table(seeds, everyone, calibration)
    if any(row.scorer.experts != everyone.experts for row in seeds[0]):
        yield _subset_table(seeds, lambdas)


def _prior_table(seeds: Sequence[PostHoc], everyone: Scorer) -> RenderableType:
    table = plain_table(
        "Class frequencies of the test set: unknown, known, estimated",
        "estimated: by EM from the unlabelled images of the test set",
    )
    table.add_column("test set", style="bold", no_wrap=True)
    for prior in _PRIORS:
        for metric in shift_metrics():
            _add_column(table, prior, metric)
    for distribution in _distributions(seeds):
        cells = (
            _cell(seeds, everyone, prior, distribution, metric)
            for prior in _PRIORS
            for metric in shift_metrics()
        )
        table.add_row(distribution_name(distribution), *cells)
    return table


def _temperature_table(
    seeds: Sequence[PostHoc], everyone: Scorer, calibration: Calibration
) -> RenderableType:
    assert calibration.temperatures is not None
    single = f"{calibration.temperatures.ensemble:.3g}"
    each = ", ".join(f"{value:.3g}" for value in calibration.temperatures.experts)
    table = plain_table(
        f"Temperatures: {single} of the ensemble, {each} of the experts",
        f"{calibration.origin}; the prior is unknown",
    )
    ensemble, experts = (Scorer(everyone.experts, scaling) for scaling in ("ensemble", "experts"))
    table.add_column("test set", style="bold", no_wrap=True)
    columns = (
        ("accuracy", everyone, "as trained"),
        ("accuracy", experts, "per expert"),
        ("ece", everyone, "as trained"),
        ("ece", ensemble, "ensemble"),
        ("ece", experts, "per expert"),
    )
    for metric, _, head in columns:
        _add_column(table, head, metric)
    for distribution in _distributions(seeds):
        cells = (
            _cell(seeds, scorer, "unknown", distribution, metric) for metric, scorer, _ in columns
        )
        table.add_row(distribution_name(distribution), *cells)
    return table


def _subset_table(seeds: Sequence[PostHoc], lambdas: Sequence[float]) -> RenderableType:
    table = plain_table("Subsets of experts whose λs have the mean 0", "the prior is unknown")
    table.add_column("λs", style="bold")
    shown = [name for name in _distributions(seeds) if name in _EXTREMES]
    for distribution in shown:
        for metric in shift_metrics():
            _add_column(table, distribution.replace("_", "\n"), metric)
    for scorer in dict.fromkeys(row.scorer for row in seeds[0] if row.scorer.scaling == "none"):
        cells = (
            _cell(seeds, scorer, "unknown", distribution, metric)
            for distribution in shown
            for metric in shift_metrics()
        )
        table.add_row(", ".join(f"{lambdas[e]:.3g}" for e in scorer.experts), *cells)
    return table


def _add_column(table: Table, head: str, metric: str) -> None:
    """Where space is short a figure goes on below: one with digits cut off would be another."""
    head = f"{head}\n{label_with_unit(metric, short=True)}"
    table.add_column(head, justify="right", overflow="fold")


def _distributions(seeds: Sequence[PostHoc]) -> list[str]:
    return list(dict.fromkeys(row.distribution for row in seeds[0]))


def _cell(
    seeds: Sequence[PostHoc],
    scorer: Scorer,
    prior: PriorKnowledge,
    distribution: str,
    metric: str,
) -> str:
    wanted = (scorer, prior, distribution)
    values = [
        row.metrics.values[metric]
        for seed in seeds
        for row in seed
        if (row.scorer, row.prior, row.distribution) == wanted
    ]
    return mean_and_sd(metric, over_seeds(values), "")
