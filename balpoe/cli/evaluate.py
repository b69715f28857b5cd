"""`balpoe evaluate`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from balpoe.cli.options import device_option, json_option, runs_option
from balpoe.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from balpoe.evaluation.post_hoc import PostHocEvaluation
    from balpoe.evaluation.tau_choices import TauChoice
    from balpoe.evaluation.validated_choices import ValidatedChoices
    from balpoe.launch.evaluate import SeedEvaluation, SideBySide
    from balpoe.tracking import TrackingStore


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--experts", is_flag=True, help="Also show each expert separately.")
@click.option(
    "--post-hoc",
    is_flag=True,
    help="Show choices after training: estimated priors; temperatures, subsets of experts and "
    "corrections by τ as chosen on validation, with their consequence on the test set.",
)
@click.option(
    "--per-class", is_flag=True, help="Also show recall and precision per class, and confusions."
)
@click.option(
    "--shifts", is_flag=True, help="Compare several models on the long-tailed test sets too."
)
@click.option(
    "--register",
    metavar="NAME",
    help="Register each seed as a version of the MLflow model NAME, with metrics and figures in "
    "its run; the first seed gets the alias champion, since test scores choose no seed.",
)
@click.option(
    "--tracking-uri",
    help="MLflow server or database of --register [default: MLFLOW_TRACKING_URI, else mlflow.db in "
    "the directory of --runs].",
)
@json_option("Print all metrics as JSON.")
@device_option
@runs_option
def evaluate(
    models: tuple[Path, ...],
    experts: bool,
    post_hoc: bool,
    per_class: bool,
    shifts: bool,
    register: str | None,
    tracking_uri: str | None,
    as_json: bool,
    device: str | None,
    runs: str,
) -> None:
    """Evaluate MODELS on the test set and its ten long-tailed shifts.

    A model is a model directory, or the directory of a training with several seeds; for several
    seeds the tables show mean and standard deviation. Several models of the same data are put side
    by side: the differences from the first one are paired over the seeds that both have.
    """
    if register is not None and len(models) > 1:
        raise UserError(f"--register: takes one model, got {len(models)}")
    if tracking_uri is not None and register is None:
        raise UserError("--tracking-uri: names the store of --register, which is not given")
    store = None if register is None else _store(register, runs, tracking_uri)
    if len(models) > 1:
        single = {"experts": experts, "post-hoc": post_hoc, "per-class": per_class}
        for option, given in single.items():
            if given:
                raise UserError(f"--{option}: takes one model, got {len(models)}")
        _evaluate_several(models, shifts=shifts, as_json=as_json, device=device)
        return
    if shifts:
        raise UserError("--shifts: compares several models; a single one is always shown on shifts")
    from balpoe.launch.evaluate import evaluate as evaluate_model

    [model] = models
    seeds = evaluate_model(model, post_hoc=post_hoc, device=device)
    if as_json:
        click.echo(json.dumps([_plain(seed) for seed in seeds], indent=1, allow_nan=False))
    else:
        _print_apart(_tables(model, seeds, experts=experts, per_class=per_class, post_hoc=post_hoc))
    if register is not None and store is not None:
        _register(store, register, seeds)


def _tables(
    model: Path,
    seeds: Sequence[SeedEvaluation],
    *,
    experts: bool,
    per_class: bool,
    post_hoc: bool,
) -> list[RenderableType]:
    from balpoe.reporting.class_tables import class_tables
    from balpoe.reporting.evaluation_tables import detail_table, evaluation_table
    from balpoe.reporting.post_hoc_tables import post_hoc_tables
    from balpoe.reporting.tau_table import tau_table

    rows = [seed.rows for seed in seeds]
    tables: list[RenderableType] = [
        evaluation_table(model.name, rows),
        detail_table(rows, seeds[0].shown_lambdas if experts else ()),
    ]
    if per_class:
        results = [seed.classes for seed in seeds]
        tables += class_tables(results, seeds[0].class_names, seeds[0].class_counts)
    if post_hoc:
        choices = [seed.post_hoc for seed in seeds]
        validated = [seed.validated for seed in seeds if seed.validated is not None]
        tables += post_hoc_tables(choices, validated, seeds[0].lambdas, seeds[0].calibration)
        tables.append(tau_table([seed.taus for seed in seeds]))
    return tables


def _store(register: str, runs: str, tracking_uri: str | None) -> TrackingStore:
    """Return the store of the registered model `register`, or refuse it before the evaluation."""
    from balpoe.launch.logged_models import refuse_bad_name
    from balpoe.launch.runs import local_runs
    from balpoe.launch.tracking import choose_store

    refuse_bad_name(register)
    return choose_store(local_runs(runs), tracking_uri)


def _register(store: TrackingStore, name: str, seeds: Sequence[SeedEvaluation]) -> None:
    from balpoe.launch.logged_models import register_evaluated

    evaluated = {
        seed.path: {key: value for row in seed.rows for key, value in row.scalars().items()}
        for seed in seeds
    }
    register_evaluated(store, name, evaluated)


def _evaluate_several(
    models: tuple[Path, ...], *, shifts: bool, as_json: bool, device: str | None
) -> None:
    from balpoe.launch.evaluate import evaluate as evaluate_models
    from balpoe.reporting.side_by_side_tables import side_by_side_tables, untested_models

    compared = evaluate_models(models, shifts=shifts, device=device)
    if as_json:
        click.echo(json.dumps(_plain_comparison(compared), indent=1, allow_nan=False))
        return
    paths = [each.path for each in compared.models]
    tables = side_by_side_tables(
        paths,
        [each.metrics for each in compared.models],
        compared.differences,
        compared.models[0].seeds[0].rows[0].images,
    )
    notes = (Text(note, style="dim") for note in untested_models(paths, compared.differences))
    _print_apart((*tables, *notes))


def _print_apart(tables: Iterable[RenderableType]) -> None:
    """Print tables with an empty line between them."""
    console = Console()
    for index, table in enumerate(tables):
        if index:
            console.print()
        console.print(table)


def _plain_comparison(compared: SideBySide) -> dict[str, Any]:
    reference, *others = compared.models
    return {
        "reference": str(reference.path),
        "models": [
            {"model": str(each.path), "seeds": [_plain(seed) for seed in each.seeds]}
            for each in compared.models
        ],
        "differences": [
            {"model": str(each.path), **found.as_plain()}
            for each, found in zip(others, compared.differences, strict=True)
        ],
    }


def _plain(seed: SeedEvaluation) -> dict[str, Any]:
    from balpoe.evaluation.class_results import as_plain

    plain: dict[str, Any] = {
        "model": str(seed.path),
        "seed": seed.seed,
        "lambdas": seed.lambdas,
        "distributions": [
            {
                "distribution": row.distribution,
                "images": row.images,
                "effective_images": row.effective_images,
                "weighted": row.is_weighted,
                "known_prior": row.known_prior,
                "metrics": row.evaluation
                and {
                    name.removeprefix(f"{row.split}/"): value
                    for name, value in row.scalars().items()
                },
            }
            for row in seed.rows
        ],
        "per_class": as_plain(seed.classes, seed.class_names),
    }
    if seed.validated is not None:
        plain["choices"] = _plain_choices(seed.validated)
    if seed.post_hoc:
        plain["calibration"] = asdict(seed.calibration)
        plain["post_hoc"] = [_plain_choice(row) for row in seed.post_hoc]
        plain["taus"] = [_plain_tau_choice(choice) for choice in seed.taus]
    return plain


def _plain_tau_choice(choice: TauChoice) -> dict[str, Any]:
    return {
        "correction": choice.correction,
        "validation": choice.origin,
        "rows": [
            {
                "tau": row.tau,
                "is_chosen": row.is_chosen,
                "validation": row.validation and row.validation.values,
                "test": row.test.values,
            }
            for row in choice.rows
        ],
    }


def _plain_choices(validated: ValidatedChoices) -> dict[str, Any]:
    from balpoe.evaluation.validated_choices import CHOICE_METRIC

    return {
        "chosen_by": CHOICE_METRIC,
        "validation": validated.origin,
        "scorers": [
            {
                "experts": choice.scorer.experts,
                "temperature": choice.scorer.scaling,
                "is_chosen": choice.is_chosen,
                "validation": choice.validation and choice.validation.values,
                "test": choice.test.values,
            }
            for choice in validated.choices
        ],
    }


def _plain_choice(row: PostHocEvaluation) -> dict[str, Any]:
    return {
        "experts": row.scorer.experts,
        "temperature": row.scorer.scaling,
        "prior": row.prior,
        "distribution": row.distribution,
        "images": row.images,
        "effective_images": row.effective_images,
        "metrics": row.metrics and row.metrics.values,
    }
