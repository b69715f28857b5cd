"""A study and one of its trials as small figures and tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from balpoe.config import StudySpec, to_plain, with_parameters
from balpoe.config.shown_biases import shown_lambdas
from balpoe.evaluation.prediction_summary import (
    BinnedConfidences,
    PredictionSummary,
    ScorerSummary,
)
from balpoe.reporting.formatting import (
    NO_VALUE,
    label_and_number,
    label_with_unit,
    mean_and_sd,
    parameter_value,
    scaled,
    trial_name,
)
from balpoe.reporting.front_table import front_tables
from balpoe.reporting.study_panel import state_counts
from balpoe.reporting.study_progress import study_progress
from balpoe.reporting.table_style import Cell, CellTable, number_cell, table_of, text_cell
from balpoe.reporting.terminal_figures import Point, bar, figure_width, scatter
from balpoe.study.selection.candidates import Candidate, candidates, objectives_over_seeds
from balpoe.study.storage.lease import LeaseHolder
from balpoe.study.trials.record import TrialRecord

_MOST_ROWS = 40
_FEWEST_CELLS = 10  # of a bar
_BESIDE_BAR = 50  # the columns that the other cells of a row take


@dataclass(frozen=True, slots=True)
class ViewedStudy:
    """A study at the Unix time `now`.

    Attributes:
        spec: The study.
        records: All trials and repeats; those on the front with their histories.
        front: The trials on the Pareto front, the best first.
        floors: The floors of calibration errors by trial number and metric.
        driver: The process that runs the study, or None.
        now: When the files were read.
    """

    spec: StudySpec
    records: tuple[TrialRecord, ...]
    front: tuple[TrialRecord, ...]
    floors: Mapping[int, Mapping[str, float]]
    driver: LeaseHolder | None
    now: float


@dataclass(frozen=True, slots=True)
class ViewedTrial:
    """A trial of a study, with its repeats among `records`; the summary is that of its seed 0."""

    spec: StudySpec
    record: TrialRecord
    records: tuple[TrialRecord, ...]
    summary: PredictionSummary | None


def study_view(study: ViewedStudy, columns: int) -> RenderableType:
    """Return the front of a study as a scatter and a table, for a terminal of `columns`."""
    spec = study.spec
    progress = study_progress(spec, study.records, launches=[study.now], now=study.now)
    state = f"run by {study.driver}" if study.driver else "not running"
    parts: list[RenderableType] = [
        Text(f"{spec.name}: {state_counts(progress)}; {state}", style="bold")
    ]
    known = candidates(study.records)
    if not known:
        return Group(*parts, Text("No trial is COMPLETE and feasible yet."))
    tables = front_tables(spec, study.front, study.records, floors=study.floors)
    parts += [Text(), Text(_scatter(study, known, columns), no_wrap=True), Text(), next(tables)]
    return Group(*parts)


def trial_view(trial: ViewedTrial, columns: int) -> RenderableType:
    """Return the result of a trial, its reliability and its accuracy by class as bars.

    `columns` is the width of the terminal.
    """
    parts: list[RenderableType] = list(_trial_lines(trial))
    summary = trial.summary
    if summary is None:
        return Group(*parts, Text(_reason(trial.record)))
    named = f"{trial_name(trial.record.identity)}, ensemble"
    width = max(_FEWEST_CELLS, figure_width(columns) - _BESIDE_BAR)
    for table in (
        _scorer_table(summary, _without_lambda(trial)),
        _reliability_table(summary, named, width),
        _class_table(summary, named, width),
    ):
        parts += [Text(), table]
    return Group(*parts)


def _scatter(study: ViewedStudy, known: tuple[Candidate, ...], columns: int) -> str:
    """Return the first two objectives of each trial, or the only one in the order of the trials."""
    objectives = list(study.spec.objectives)
    y, x = objectives[0], objectives[1] if len(objectives) > 1 else None
    front = {record.identity.number for record in study.front}
    points = [
        Point(
            float(each.number) if x is None else scaled(x, each.mean(x)),
            scaled(y, each.mean(y)),
            str(each.number) if each.number in front else "",
        )
        for each in known
    ]
    x_label = "trial" if x is None else label_with_unit(x)
    y_label = f"{label_with_unit(y)}  (numbers: trials on the front)"
    return scatter(points, x_label, y_label, figure_width(columns))


def _trial_lines(trial: ViewedTrial) -> Iterator[Text]:
    spec, record = trial.spec, trial.record
    state = "infeasible" if record.violations else record.state.lower()
    yield Text(f"{spec.name}, {trial_name(record.identity)}: {state}", style="bold")
    chosen = (f"{name} {parameter_value(value)}" for name, value in record.parameters.items())
    yield Text(", ".join(chosen))
    found = objectives_over_seeds(trial.records, record.identity.number)
    if found:
        n = max(value.n for value in found.values())
        values = (f"{label_with_unit(name)} {mean_and_sd(name, v)}" for name, v in found.items())
        yield Text(f"{', '.join(values)} (n = {n} seed{'' if n == 1 else 's'})")
    if record.violations:
        over = (label_and_number(name, excess) for name, excess in record.violations.items())
        yield Text(f"exceeds its bounds by: {', '.join(over)}")
    if record.failure:
        yield Text(record.failure)


def _reason(record: TrialRecord) -> str:
    """Return why a trial has no summary."""
    if record.state != "COMPLETE":
        return "No reliability and classes: only a COMPLETE trial stores its predictions."
    return (
        "No reliability and classes: the trial was run by an earlier version of balpoe, which "
        "stored no summary of the predictions."
    )


def _without_lambda(trial: ViewedTrial) -> str:
    """Return the text for experts without a single λ."""
    configuration = with_parameters(trial.spec.base, trial.record.parameters)
    return shown_lambdas(None, to_plain(configuration))[0]


def _scorer_table(summary: PredictionSummary, no_lambda: str) -> CellTable:
    experts = summary.experts if len(summary.experts) > 1 else ()
    scorers = [("ensemble", summary.ensemble), *((str(e), s) for e, s in enumerate(experts))]
    return table_of(
        "Ensemble and experts",
        (_scorer_cells(summary, name, scorer, no_lambda) for name, scorer in scorers),
        f"{_images(summary)}, seed 0 of the trial; floor: mean ECE of perfectly calibrated "
        "predictions",
    )


def _scorer_cells(
    summary: PredictionSummary, name: str, scorer: ScorerSummary, no_lambda: str
) -> Iterator[Cell]:
    bins = _bins(summary, scorer)
    yield text_cell("expert", name, style="bold")
    yield number_cell("λ", no_lambda if scorer.lam is None else f"{scorer.lam:.3g}")
    yield number_cell("accuracy %", _percent(scorer.accuracy))
    yield number_cell("balanced\naccuracy %", _percent(scorer.balanced_accuracy))
    yield number_cell("ECE %", _percent(bins.ece))
    yield number_cell("floor", _percent(bins.ece_floor))
    yield number_cell("MCE %", _percent(bins.mce))
    yield number_cell("KL", f"{scorer.kl_to_target_prior:.3f}")


def _reliability_table(summary: PredictionSummary, named: str, width: int) -> CellTable:
    bins = _bins(summary, summary.ensemble)
    filled = [k for k, images in enumerate(bins.images) if images]
    return table_of(
        f"Reliability of {named}",
        (_bin_cells(bins, k, width) for k in filled),
        "bar: accuracy, ┃: mean confidence of the images in the bin; bins without images are "
        "left out",
    )


def _bin_cells(bins: BinnedConfidences, k: int, width: int) -> Iterator[Cell]:
    count = len(bins.images)
    accuracy, confidence = bins.accuracy[k] or 0.0, bins.confidence[k] or 0.0
    yield text_cell("confidence", f"{k / count:.2f}-{(k + 1) / count:.2f}", no_wrap=True)
    yield text_cell("", bar(accuracy, width, confidence), style="cyan", no_wrap=True)
    yield number_cell("accuracy %", _percent(accuracy))
    yield number_cell("confidence %", _percent(confidence))
    yield number_cell("images", f"{bins.images[k]:,}")


def _class_table(summary: PredictionSummary, named: str, width: int) -> CellTable:
    order = sorted(range(len(summary.class_names)), key=lambda y: -summary.train_counts_c[y])
    size = -(-len(order) // _MOST_ROWS)
    groups = [order[begin : begin + size] for begin in range(0, len(order), size)]
    merged = "" if size == 1 else f"; {len(order)} classes in groups of {size} neighbours, means"
    return table_of(
        f"Accuracy by class of {named}",
        (_class_cells(summary, place * size, group, width) for place, group in enumerate(groups)),
        f"classes from the most to the fewest training images{merged}",
    )


def _class_cells(
    summary: PredictionSummary, first: int, group: list[int], width: int
) -> Iterator[Cell]:
    """Yield the cells of neighbouring classes, before which `first` classes come."""
    recalls = [recall for y in group if (recall := summary.ensemble.recall_c[y]) is not None]
    name = summary.class_names[group[0]]
    if len(group) > 1:
        name = f"{first + 1}-{first + len(group)}"
    mean = sum(recalls) / len(recalls) if recalls else None
    yield text_cell("class", " ".join(name.split()), style="bold", no_wrap=True, max_width=20)
    yield number_cell("training\nimages", f"{sum(summary.train_counts_c[y] for y in group):,}")
    yield text_cell("", bar(mean or 0.0, width), style="green", no_wrap=True)
    yield number_cell("accuracy %", NO_VALUE if mean is None else _percent(mean))
    yield number_cell("images", f"{sum(summary.images_c[y] for y in group):,}")


def _bins(summary: PredictionSummary, scorer: ScorerSummary) -> BinnedConfidences:
    return scorer.by_images if summary.is_balanced else scorer.by_classes


_SPLITS: Final = {"val": "validation", "test": "test"}


def _images(summary: PredictionSummary) -> str:
    weighted = "images" if summary.is_balanced else "classes"
    images = sum(summary.images_c)
    return f"{images:,} {_SPLITS[summary.split]} images; ECE and MCE: {weighted} weighted the same"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
