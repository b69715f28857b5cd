"""Final models in MLflow: their runs, and the versions of registered models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from balpoe.errors import UserError
from balpoe.launch.tracking import current_origin, study_exported_from
from balpoe.tracking import TrackingStore
from balpoe.tracking.tracking_store import storage_errors

_EXPERIMENT = "models"


def log_models(
    store: TrackingStore,
    configuration_file: Path,
    models: Sequence[Path],
    register: str | None = None,
) -> str | None:
    """Log model directories of one configuration to MLflow, each at most once.

    The experiment is that of the study which exported the configuration, else `models`. With
    `register` each model is a version of the registered model of this name, the first one is its
    `champion`, and the figures on the test set are in the runs of the models.

    Returns:
        The reason why MLflow lacks a model, or None if all are logged.
    """
    study = study_exported_from(configuration_file)
    experiment = study.path.name if study else _EXPERIMENT
    origin = current_origin()
    try:
        from balpoe.tracking.trained_model import log_trained_model

        for path in models:
            name = f"{configuration_file.stem} {path.name.replace('_', ' ')}"
            log_trained_model(store, path, experiment=experiment, name=name, origin=origin)
        if register is not None:
            _register(store, register, _identities(models))
    except Exception as error:  # stores raise anything; the models are trained and saved
        return f"{type(error).__name__}: {error}"
    return None


def register_evaluated(
    store: TrackingStore, name: str, evaluated: Mapping[Path, Mapping[str, float]]
) -> None:
    """Register evaluated models as versions of `name`; log metrics and figures to their runs.

    Models that MLflow lacks are logged first. The first model becomes `champion`.

    Args:
        store: The store that has the models, or gets them.
        name: The registered model.
        evaluated: The metrics of each model directory, the first seed first.

    Raises:
        StorageError: the store cannot be reached or written.
    """
    identities = _identities(evaluated)
    with storage_errors(store, "cannot be written", "start it or check its address"):
        from balpoe.tracking.registry import has_model, log_evaluation
        from balpoe.tracking.trained_model import log_trained_model

        for path, identity in identities.items():
            if not has_model(store, identity):
                log_trained_model(
                    store,
                    path,
                    experiment=_EXPERIMENT,
                    name=f"{path.parent.name} {path.name.replace('_', ' ')}",
                    origin=current_origin(),
                )
            log_evaluation(store, identity, evaluated[path])
        _register(store, name, identities)


def refuse_bad_name(name: str) -> None:
    """Refuse names of registered models that MLflow refuses or its searches misread.

    Raises:
        UserError: the name has other characters than letters, digits, blanks, `.`, `-` and `_`.
    """
    if re.fullmatch(r"[\w.\- ]+", name) is None:
        raise UserError(f"--register: must be letters, digits, '.', '-' or '_', got {name!r}")


def _register(store: TrackingStore, name: str, identities: Mapping[Path, str]) -> None:
    from balpoe.tracking.registry import log_model_figures, register_models

    register_models(store, name, list(identities.values()))
    for path, identity in identities.items():
        log_model_figures(store, identity, _figures(path))


def _identities(models: Iterable[Path]) -> dict[Path, str]:
    from balpoe.training.model_directory import load_model  # it imports torch

    return {path: load_model(path).provenance.identity for path in models}


def _figures(model: Path) -> dict[str, bytes]:
    """Draw the figures of a model on the test set; a PNG by the name of the figure."""
    from balpoe.reporting.figures.drawing import png_images
    from balpoe.reporting.figures.prediction_drawings import prediction_drawings
    from balpoe.training.stored_results import read_results

    results = read_results(model)
    if results.summary is None:  # of an earlier version
        return {}
    subject = f"{model.parent.name}, seed {results.seed}"
    drawings = prediction_drawings(results.summary, subject, final=results.metrics)
    return png_images(drawing.picture(svg=False, png=True) for drawing in drawings)
