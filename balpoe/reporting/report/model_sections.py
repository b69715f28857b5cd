"""The sections of a report that show trained models on the test set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from balpoe.config.shown_biases import loss_name
from balpoe.reporting.class_tables import class_tables
from balpoe.reporting.evaluation_tables import detail_table, evaluation_table
from balpoe.reporting.figures.distribution_figure import distribution_results
from balpoe.reporting.figures.prediction_drawings import prediction_drawings
from balpoe.reporting.formatting import NO_VALUE, duration
from balpoe.reporting.report.page import Listing, Part, Prose, Section
from balpoe.reporting.side_by_side_tables import side_by_side_tables, untested_models
from balpoe.reporting.table_style import Cell, number_cell, table_of
from balpoe.study.selection.side_by_side import (
    SeedMetrics,
    compared_metrics,
    differences_from_first,
)
from balpoe.training.stored_results import StoredResults


@dataclass(frozen=True, eq=False, slots=True)
class ReportedModel:
    """A model with all its seeds, as its files were at the Unix time `now`.

    `path` is a model directory, or the directory of a training with several seeds.
    """

    path: Path
    seeds: tuple[StoredResults, ...]
    now: float

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.path.absolute().name

    @property
    def metrics(self) -> SeedMetrics:
        """The metrics of each seed, such as `test_forward_10/ece`."""
        return {seed.seed: seed.metrics for seed in self.seeds}


def model_sections(models: Sequence[ReportedModel]) -> Iterator[Section]:
    """Yield the comparison of several models of the same data, then a section for each model."""
    if len(models) > 1:
        yield Section("Models on the test set, side by side", tuple(_comparison(models)))
    for model in models:
        yield Section(f"Model {model.name} on the test set", tuple(_model_parts(model)))


def _comparison(models: Sequence[ReportedModel]) -> Iterator[Part]:
    metrics = [model.metrics for model in models]
    compared = compared_metrics(metrics, shifts=True)
    differences = differences_from_first(metrics, compared)
    paths = [model.path for model in models]
    yield from side_by_side_tables(paths, metrics, differences, models[0].seeds[0].test_images)
    notes = untested_models(paths, differences)
    if notes:
        yield Listing(tuple(notes))


def _model_parts(model: ReportedModel) -> Iterator[Part]:
    seeds = model.seeds
    yield Prose(tuple(_about(model)))
    yield table_of("Seeds", map(_seed_cells, seeds))
    rows = [seed.distributions for seed in seeds]
    if all(rows):
        yield evaluation_table(model.name, rows)
        yield detail_table(rows, seeds[0].shown_lambdas)
    shared = [name for name in seeds[0].metrics if all(name in seed.metrics for seed in seeds)]
    means = {name: fmean(seed.metrics[name] for seed in seeds) for name in shared}
    over = "one seed" if len(seeds) == 1 else f"mean over {len(seeds)} seeds"
    shifts = distribution_results(means, f"{model.name} ({over})")
    if shifts is not None:
        yield shifts.picture()
    results = [seed.classes for seed in seeds if seed.classes is not None]
    if len(results) == len(seeds):
        yield from class_tables(results, seeds[0].class_names, seeds[0].class_counts)
    shown = next((seed for seed in seeds if seed.summary is not None), None)
    if shown is not None and shown.summary is not None:
        drawings = prediction_drawings(shown.summary, f"{model.name}, seed {shown.seed}")
        yield from (drawing.picture() for drawing in drawings)
    yield Listing(tuple(_not_shown(model)))


def _about(model: ReportedModel) -> Iterator[str]:
    first = model.seeds[0]
    configuration = first.configuration
    shown = first.shown_lambdas
    experts = "one expert" if len(shown) == 1 else f"{len(shown)} experts"
    lambdas = ", ".join(shown if first.lambdas else dict.fromkeys(shown))
    loss = loss_name(configuration)
    yield (
        f"{configuration['model']['backbone']} on {configuration['data']['name']}, trained on "
        f"{sum(first.class_counts):,} images of {len(first.class_names)} classes for "
        f"{first.epochs} epochs; {experts} with λ {lambdas}, loss {loss}."
    )
    yield f"Directory {model.path.absolute()}."
    yield (
        f"Data {first.fingerprint[:12]}, test images {(first.test_fingerprint or NO_VALUE)[:12]} "
        f"(sha256); trained by balpoe {first.balpoe_version}."
    )


def _seed_cells(seed: StoredResults) -> Iterator[Cell]:
    yield number_cell("seed", str(seed.seed))
    yield number_cell("epochs", str(seed.epochs))
    yield number_cell("training time", duration(seed.seconds))


def _not_shown(model: ReportedModel) -> Iterator[str]:
    """Yield what the tables and figures of a model do not show."""
    seeds = model.seeds
    if len(seeds) == 1:
        yield "One seed: how much the metrics vary between trainings is not known."
    elif any(seed.summary for seed in seeds):
        yield "The figures are those of one seed; the tables are over all seeds."
    if any(seed.summary is None for seed in seeds):
        yield (
            "Models of earlier versions stored no summary of their predictions: they have no "
            "figures. `balpoe evaluate` computes the same tables from the images."
        )
    if not all(seed.distributions for seed in seeds):
        yield "Models of earlier versions stored no numbers of images: `balpoe evaluate` has them."
    reasons = dict.fromkeys(seed.no_estimated_prior for seed in seeds)
    yield from (f"Not drawn with an estimated prior: {reason}." for reason in reasons if reason)
    yield (
        "Temperatures and subsets of experts are not in this page: `balpoe evaluate --post-hoc` "
        "computes them."
    )
