"""Tables of choices that are made after the training: priors, temperatures, subsets of experts.

`seeds` holds the post-hoc evaluations of each model, `choices` its choices on validation; the
models differ only in their seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from balpoe.config import metric_table, shift_metrics
from balpoe.config.metrics import BALANCED
from balpoe.config.shifts import WHOLE_TEST, PriorKnowledge
from balpoe.evaluation.post_hoc import PostHocEvaluation, Scorer
from balpoe.evaluation.scoring import Metrics
from balpoe.evaluation.validated_choices import (
    CHOICE_METRIC,
    ValidatedChoice,
    ValidatedChoices,
)
from balpoe.reporting.evaluation_tables import distribution_name
from balpoe.reporting.formatting import (
    FLOOR_NOTE,
    NO_VALUE,
    bare_number,
    label,
    label_with_unit,
    mean_and_sd,
)
from balpoe.reporting.table_style import Cell, number_cell, table_of, text_cell
from balpoe.study.selection.candidates import over_seeds
from balpoe.training.model_directory import Calibration

_PRIORS: tuple[PriorKnowledge, ...] = ("unknown", "known", "estimated")
_EXTREMES = (WHOLE_TEST, "forward_50", "backward_50")
CHOICE_METRICS = ("balanced_nll", "balanced_accuracy", "balanced_ece")
_FLOOR = f"{FLOOR_NOTE} with these confidences"
_SCALINGS = {
    "none": "as trained",
    "ensemble": "one temperature",
    "experts": "own temperatures",
}

PostHoc = Sequence[PostHocEvaluation]
Place = tuple[Scorer, PriorKnowledge, str]  # the last one is a test distribution


def post_hoc_tables(
    seeds: Sequence[PostHoc],
    choices: Sequence[ValidatedChoices],
    lambdas: Sequence[float] | None,
    calibration: Calibration,
) -> Iterator[RenderableType]:
    """Yield a table of priors, and the choices on validation with their consequence on the test.

    A line says why there are no temperatures.
    """
    yield table_of(
        "Class frequencies of the test set: unknown, known, estimated",
        (_prior_cells(seeds, distribution) for distribution in _distributions(seeds)),
        "estimated: from the unlabelled test images; – without held-out images of the model, or "
        f"where a shift weights classes\n{_FLOOR}",
    )
    chosen = f"*: chosen, the least {label(CHOICE_METRIC)} on validation"
    if choices[0].best is None:
        chosen = f"no validation, no choice: {choices[0].origin}"
    rows = choices[0].choices
    yield table_of(
        "Temperatures and subsets of experts: chosen on validation",
        (_choice_cells(choices, lambdas, row.scorer) for row in rows),
        f"{chosen}\nbal.: classes of equal weight; logits adjusted to equal class frequencies\n"
        f"{FLOOR_NOTE}, with classes of equal weight",
    )
    if calibration.temperatures is None:
        yield Text(f"No temperatures: {calibration.origin}.\n")
    else:
        single = f"{calibration.temperatures.ensemble:.3g}"
        each = ", ".join(f"{value:.3g}" for value in calibration.temperatures.experts)
        values = f"{single} of the ensemble, {each} of the experts"
        line = f"Temperatures: {values}, {calibration.origin}"
        if choices[0].best is not None:
            line += "; for the validation columns fitted without the images they are applied to"
        yield Text(f"{line}.\n")
    yield table_of(
        "The same choices on the test set and its extreme shifts",
        (_shift_cells(seeds, lambdas, row) for row in rows),
        f"*: chosen; own temperatures: one for each expert; the prior is unknown\n{_FLOOR}",
    )


def _prior_cells(seeds: Sequence[PostHoc], distribution: str) -> Iterator[Cell]:
    all_experts = seeds[0][0].scorer
    yield _name_cell(distribution)
    for prior in _PRIORS:
        for metric in shift_metrics():
            yield _value_cell(prior, metric, seeds, (all_experts, prior, distribution))


def _choice_cells(
    choices: Sequence[ValidatedChoices], lambdas: Sequence[float] | None, scorer: Scorer
) -> Iterator[Cell]:
    rows = [next(row for row in each.choices if row.scorer == scorer) for each in choices]
    yield _scorer_cell(rows[0], lambdas, choices[0].choices[0].scorer)
    validation = rows[0].validation  # one search trial, whatever the seed of the final training
    for metric in CHOICE_METRICS:
        yield mean_cell("val", metric, [] if validation is None else [validation])
    for metric in CHOICE_METRICS:
        yield mean_cell("test", metric, [row.test for row in rows])


def _shift_cells(
    seeds: Sequence[PostHoc], lambdas: Sequence[float] | None, row: ValidatedChoice
) -> Iterator[Cell]:
    yield _scorer_cell(row, lambdas, seeds[0][0].scorer)
    for distribution in _distributions(seeds):
        if distribution in _EXTREMES:
            for metric in shift_metrics():
                head = distribution.replace("_", "\n")
                yield _value_cell(head, metric, seeds, (row.scorer, "unknown", distribution))


def _scorer_cell(row: ValidatedChoice, lambdas: Sequence[float] | None, every: Scorer) -> Cell:
    """The λs or numbers of some experts of `every`, or their temperatures.

    A star marks the choice of validation.
    """
    scorer = row.scorer
    name = _SCALINGS[scorer.scaling]
    if len(scorer.experts) < len(every.experts):
        name = f"experts {', '.join(map(str, scorer.experts))}"
        if lambdas is not None:
            name = f"λ {', '.join(f'{lambdas[e]:.3g}' for e in scorer.experts)}"
    return text_cell("choice", f"* {name}" if row.is_chosen else name, style="bold")


def _name_cell(distribution: str) -> Cell:
    return text_cell("test set", distribution_name(distribution), style="bold", no_wrap=True)


def _value_cell(head: str, metric: str, seeds: Sequence[PostHoc], place: Place) -> Cell:
    """The mean and standard deviation of a metric for one choice, below a head of two lines."""
    found = [
        row.metrics
        for seed in seeds
        for row in seed
        if (row.scorer, row.prior, row.distribution) == place
    ]
    return mean_cell(head, metric, [each for each in found if each is not None])


def mean_cell(head: str, metric: str, found: Sequence[Metrics]) -> Cell:
    """The mean and standard deviation of a metric, above the mean of its floor if it has one."""
    name = label_with_unit(metric, short=True)
    if metric.startswith(BALANCED):
        name = name.replace(" ", "\n", 1)
    text, floor = NO_VALUE, metric_table()[metric].floor
    if found:
        text = mean_and_sd(metric, over_seeds([each.values[metric] for each in found]), "")
    if floor is None:
        return number_cell(f"{head}\n{name}\n", text)
    if found:
        text += f"\n{bare_number(floor, over_seeds([each.values[floor] for each in found]).mean)}"
    return number_cell(f"{head}\n{name}\nfloor", text)


def _distributions(seeds: Sequence[PostHoc]) -> list[str]:
    return list(dict.fromkeys(row.distribution for row in seeds[0]))
