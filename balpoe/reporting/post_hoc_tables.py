"""Tables of choices that are made after the training: priors, temperatures, subsets of experts.

`seeds` holds the post-hoc evaluations of each model; the models differ only in their seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from balpoe.config import shift_metrics
from balpoe.evaluation.distributions import WHOLE_TEST
from balpoe.evaluation.post_hoc import PostHocEvaluation, PriorKnowledge, Scaling, Scorer
from balpoe.reporting.evaluation_tables import distribution_name
from balpoe.reporting.formatting import NO_VALUE, label_with_unit, mean_and_sd
from balpoe.reporting.table_style import Cell, number_cell, table_of, text_cell
from balpoe.study.selection.candidates import over_seeds
from balpoe.training.model_directory import Calibration

_PRIORS: tuple[PriorKnowledge, ...] = ("unknown", "known", "estimated")
_EXTREMES = (WHOLE_TEST, "forward_50", "backward_50")
_TEMPERATURE_COLUMNS: tuple[tuple[str, str, Scaling], ...] = (
    ("accuracy", "as trained", "none"),
    ("accuracy", "per expert", "experts"),
    ("ece", "as trained", "none"),
    ("ece", "ensemble", "ensemble"),
    ("ece", "per expert", "experts"),
)

PostHoc = Sequence[PostHocEvaluation]
Choice = tuple[Scorer, PriorKnowledge, str]  # the last one is a test distribution


def post_hoc_tables(
    seeds: Sequence[PostHoc], lambdas: Sequence[float], calibration: Calibration
) -> Iterator[RenderableType]:
    """Yield a table for each of the choices; a line if there are no temperatures."""
    experts = seeds[0][0].scorer.experts
    yield table_of(
        "Class frequencies of the test set: unknown, known, estimated",
        (_prior_cells(seeds, distribution) for distribution in _distributions(seeds)),
        "estimated: by EM from the unlabelled images of the test set",
    )
    if calibration.temperatures is None:
        yield Text(f"No temperatures: {calibration.origin}.\n")
    else:
        single = f"{calibration.temperatures.ensemble:.3g}"
        each = ", ".join(f"{value:.3g}" for value in calibration.temperatures.experts)
        yield table_of(
            f"Temperatures: {single} of the ensemble, {each} of the experts",
            (_temperature_cells(seeds, distribution) for distribution in _distributions(seeds)),
            f"{calibration.origin}; the prior is unknown",
        )
    scorers = dict.fromkeys(row.scorer for row in seeds[0] if row.scorer.scaling == "none")
    if any(scorer.experts != experts for scorer in scorers):
        yield table_of(
            "Subsets of experts whose λs have the mean 0",
            (_subset_cells(seeds, lambdas, scorer) for scorer in scorers),
            "the prior is unknown",
        )


def _prior_cells(seeds: Sequence[PostHoc], distribution: str) -> Iterator[Cell]:
    all_experts = seeds[0][0].scorer
    yield _name_cell(distribution)
    for prior in _PRIORS:
        for metric in shift_metrics():
            yield _value_cell(prior, metric, seeds, (all_experts, prior, distribution))


def _temperature_cells(seeds: Sequence[PostHoc], distribution: str) -> Iterator[Cell]:
    experts = seeds[0][0].scorer.experts
    yield _name_cell(distribution)
    for metric, head, scaling in _TEMPERATURE_COLUMNS:
        scorer = Scorer(experts, scaling)
        yield _value_cell(head, metric, seeds, (scorer, "unknown", distribution))


def _subset_cells(
    seeds: Sequence[PostHoc], lambdas: Sequence[float], scorer: Scorer
) -> Iterator[Cell]:
    yield text_cell("λs", ", ".join(f"{lambdas[e]:.3g}" for e in scorer.experts), style="bold")
    for distribution in _distributions(seeds):
        if distribution in _EXTREMES:
            for metric in shift_metrics():
                head = distribution.replace("_", "\n")
                yield _value_cell(head, metric, seeds, (scorer, "unknown", distribution))


def _name_cell(distribution: str) -> Cell:
    return text_cell("test set", distribution_name(distribution), style="bold", no_wrap=True)


def _value_cell(head: str, metric: str, seeds: Sequence[PostHoc], choice: Choice) -> Cell:
    """The mean and standard deviation of a metric for one choice, below a head of two lines."""
    chosen = [
        row.metrics
        for seed in seeds
        for row in seed
        if (row.scorer, row.prior, row.distribution) == choice
    ]
    values = [metrics.values[metric] for metrics in chosen if metrics is not None]
    text = mean_and_sd(metric, over_seeds(values), "") if values else NO_VALUE
    return number_cell(f"{head}\n{label_with_unit(metric, short=True)}", text)


def _distributions(seeds: Sequence[PostHoc]) -> list[str]:
    return list(dict.fromkeys(row.distribution for row in seeds[0]))
