"""Tables of the metrics of trained models on the test set and on its long-tailed cuts.

`seeds` holds the final evaluation of each model; the models differ only in their seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from balpoe.config import shift_metrics
from balpoe.evaluation.distributions import WHOLE_TEST, DistributionEvaluation
from balpoe.evaluation.scoring import Metrics
from balpoe.reporting.formatting import label_with_unit, mean_and_sd, seed_count
from balpoe.reporting.table_style import Cell, number_cell, table_of, text_cell
from balpoe.study.selection.candidates import over_seeds

FinalEvaluation = Sequence[DistributionEvaluation]


def evaluation_table(model: str, seeds: Sequence[FinalEvaluation]) -> RenderableType:
    """Accuracy and ECE on every test distribution, without and with its prior."""
    table = table_of(
        f"{model}: {_spread(seeds)}",
        (_evaluation_cells(seeds, row) for row in seeds[0] if not row.known_prior),
        "prior known: logits adjusted to the class frequencies of the test set",
    )
    table.rows[0].end_section = True  # the whole test set
    return table


def _evaluation_cells(
    seeds: Sequence[FinalEvaluation], row: DistributionEvaluation
) -> Iterator[Cell]:
    name = distribution_name(row.distribution)
    yield text_cell("test set", name, style="bold", no_wrap=True)
    yield text_cell("images", f"{row.images:,}", justify="right")
    for head, known_prior in (("", False), ("prior known\n", True)):
        ensembles = _ensembles(seeds, row.distribution, known_prior=known_prior)
        for metric in shift_metrics():
            label = head + label_with_unit(metric)
            yield text_cell(label, _value(ensembles, metric), justify="right", min_width=11)


def detail_table(seeds: Sequence[FinalEvaluation], lambdas: Sequence[float] = ()) -> RenderableType:
    """Every metric on the whole test set: a row for the ensemble, and for each expert with a λ."""
    ensembles = _ensembles(seeds, WHOLE_TEST, known_prior=False)
    scored = {"product": ensembles}
    for i, lam in enumerate(lambdas):
        rows = (_row(seed, WHOLE_TEST, known_prior=False) for seed in seeds)
        scored[f"expert {i}\nλ {lam:.3g}"] = [row.evaluation.experts[i] for row in rows]
    metrics = _informative(ensembles[0])
    return table_of(
        f"{distribution_name(WHOLE_TEST)} in detail: {_spread(seeds)}",
        (_detail_cells(name, of_seeds, metrics) for name, of_seeds in scored.items()),
        "NLL and KL in nats",
    )


def _detail_cells(name: str, seeds: Sequence[Metrics], metrics: Sequence[str]) -> Iterator[Cell]:
    yield text_cell("", name, style="bold", no_wrap=True)
    for metric in metrics:
        yield number_cell(label_with_unit(metric, short=True), _value(seeds, metric, "\n"))


def distribution_name(distribution: str) -> str:
    """The name of a test distribution on screen: `forward 10`."""
    return "whole test set" if distribution == WHOLE_TEST else distribution.replace("_", " ")


def _informative(scored: Metrics) -> list[str]:
    """The metrics that are defined; the balanced accuracy only if class sizes differ."""
    balanced = math.isclose(scored.accuracy, scored.balanced_accuracy, abs_tol=1e-9)
    return [name for name in scored.values if not (balanced and name == "balanced_accuracy")]


def _ensembles(
    seeds: Sequence[FinalEvaluation], distribution: str, *, known_prior: bool
) -> list[Metrics]:
    rows = (_row(seed, distribution, known_prior=known_prior) for seed in seeds)
    return [row.evaluation.ensemble for row in rows]


def _row(seed: FinalEvaluation, distribution: str, *, known_prior: bool) -> DistributionEvaluation:
    return next(
        row for row in seed if row.distribution == distribution and row.known_prior == known_prior
    )


def _spread(seeds: Sequence[FinalEvaluation]) -> str:
    count = seed_count(len(seeds))
    return count if len(seeds) == 1 else f"mean ± sd, {count}"


def _value(seeds: Sequence[Metrics], metric: str, separator: str = " ") -> str:
    return mean_and_sd(metric, over_seeds([one.values[metric] for one in seeds]), separator)
