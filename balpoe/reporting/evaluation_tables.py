"""What trained models are worth: on the test set, and on its long-tailed cuts.

`seeds` are the final evaluations of models that differ in their seed alone, one each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import RenderableType

from balpoe.config import shift_metrics
from balpoe.evaluation.distributions import WHOLE_TEST, DistributionEvaluation
from balpoe.evaluation.scoring import Metrics
from balpoe.reporting.formatting import label_with_unit, mean_and_sd, seed_count
from balpoe.reporting.table_style import add_number_column, plain_table
from balpoe.study.selection.candidates import over_seeds

FinalEvaluation = Sequence[DistributionEvaluation]


def evaluation_table(model: str, seeds: Sequence[FinalEvaluation]) -> RenderableType:
    """Accuracy and ECE on every test distribution, without and with its prior."""
    table = plain_table(
        f"{model}: {_spread(seeds)}",
        "prior known: logits adjusted to the class frequencies of the test set",
    )
    table.add_column("test set", style="bold", no_wrap=True)
    table.add_column("images", justify="right")
    for head in ("", "prior known\n"):
        for metric in shift_metrics():
            table.add_column(head + label_with_unit(metric), justify="right", min_width=11)
    for row in seeds[0]:
        if not row.known_prior:
            cells = (
                _cell(_ensembles(seeds, row.distribution, known_prior=known_prior), metric)
                for known_prior in (False, True)
                for metric in shift_metrics()
            )
            name = distribution_name(row.distribution)
            whole = row.distribution == WHOLE_TEST
            table.add_row(name, f"{row.images:,}", *cells, end_section=whole)
    return table


def detail_table(seeds: Sequence[FinalEvaluation], lambdas: Sequence[float] = ()) -> RenderableType:
    """Every metric on the whole test set, and with the λs of the experts a row for each too."""
    products = _ensembles(seeds, WHOLE_TEST, known_prior=False)
    names = _informative(products[0])
    table = plain_table(
        f"{distribution_name(WHOLE_TEST)} in detail: {_spread(seeds)}", "NLL and KL in nats"
    )
    table.add_column("", style="bold", no_wrap=True)
    for metric in names:
        add_number_column(table, label_with_unit(metric, short=True))
    table.add_row("product", *(_cell(products, metric, "\n") for metric in names))
    for i, lam in enumerate(lambdas):
        experts = [
            _row(seed, WHOLE_TEST, known_prior=False).evaluation.experts[i] for seed in seeds
        ]
        cells = (_cell(experts, metric, "\n") for metric in names)
        table.add_row(f"expert {i}\nλ {lam:.3g}", *cells)
    return table


def distribution_name(distribution: str) -> str:
    """How a row calls a test distribution: `forward 10`."""
    return "whole test set" if distribution == WHOLE_TEST else distribution.replace("_", " ")


def _informative(scored: Metrics) -> list[str]:
    """The metrics there are; the balanced accuracy only where classes differ in size."""
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


def _cell(seeds: Sequence[Metrics], metric: str, separator: str = " ") -> str:
    return mean_and_sd(metric, over_seeds([one.values[metric] for one in seeds]), separator)
