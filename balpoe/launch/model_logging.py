"""Trained models into MLflow, without harm to the training where that fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balpoe.launch.tracking import study_exported_from
from balpoe.study.trials.environment import current_environment
from balpoe.tracking import Origin, TrackingStore

EXPERIMENT = "models"


def log_models(
    store: TrackingStore, configuration_file: Path, models: Sequence[Path]
) -> str | None:
    """Log model directories that were trained from one file, each at most once.

    They go to the experiment of the study that exported the file, else to `models`.

    Returns:
        Why one is missing; None where MLflow has all.
    """
    study = study_exported_from(configuration_file)
    experiment = study.path.name if study else EXPERIMENT
    environment = current_environment()
    origin = Origin(environment.user, environment.git_commit)
    try:
        from balpoe.tracking.trained_model import log_trained_model

        for path in models:
            name = f"{configuration_file.stem} {path.name.replace('_', ' ')}"
            log_trained_model(store, path, experiment=experiment, name=name, origin=origin)
    except Exception as error:  # whatever a store raises: the models are trained and saved
        return f"{type(error).__name__}: {error}"
    return None
