"""Figures and files of the runs of a study in MLflow: artifacts, and images of the image grid.

A file of the same name is replaced, so that logging can be repeated without duplicates.
"""

from __future__ import annotations

import io
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from balpoe.study.trials.record import TrialIdentity
from balpoe.tracking.run_data import trial_tags
from balpoe.tracking.run_lookup import tagged_runs
from balpoe.tracking.tracking_store import TrackingStore, open_client, storage_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FIGURES, IMAGES = "figures", "images"
REPORT = "report.html"
_HINT = "start the server or check its address and permissions, then repeat"
_THUMBNAIL = 256
_IMAGES_TAG = "mlflow.loggedImages"
_SHOWN_TAG = "figures"


def log_study_figures(
    store: TrackingStore, study: str, figures: Mapping[str, bytes], report: Path | None = None
) -> bool:
    """Log figures and a report to the run of a study; return whether the study has a run.

    Args:
        store: The store that mirrors the study.
        study: The name of the study.
        figures: A PNG by the name of the figure: letters, digits, `_`, `-`, `.`, blanks.
        report: The HTML file of the report.

    Raises:
        StorageError: the store cannot be reached or written.
    """
    tags = {"role": "study", "study": study}
    files = {} if report is None else {REPORT: report.read_bytes()}
    return _log(store, study, tags, figures, files, new_tags={})


def log_trial_figures(
    store: TrackingStore, identity: TrialIdentity, figures: Mapping[str, bytes], shown: str
) -> bool:
    """Log figures to the run of a repeat of a trial; return whether there is one.

    `shown` identifies the data that the figures show, for `trials_with_figures`.

    Raises:
        StorageError: the store cannot be reached or written.
    """
    tags = trial_tags(identity)
    return _log(store, identity.study, tags, figures, {}, new_tags={_SHOWN_TAG: shown})


def trials_with_figures(store: TrackingStore, study: str) -> Mapping[int, str]:
    """Return the data that the figures in the runs of trials show, by the number of the trial.

    Raises:
        StorageError: the store cannot be reached or read.
    """
    with storage_errors(store, "cannot be read", _HINT):
        tags = {"role": "trial", "study": study, "repeat": "0"}
        return {
            int(run.data.tags["number"]): run.data.tags[_SHOWN_TAG]
            for run in _runs(open_client(store), study, tags)
            if _SHOWN_TAG in run.data.tags
        }


def log_figures(client: MlflowClient, run_id: str, figures: Mapping[str, bytes]) -> None:
    """Log figures to a run, each as `figures/<name>.png` and in the image grid."""
    files = {f"{FIGURES}/{name}.png": png for name, png in figures.items()}
    for name, png in figures.items():
        files |= _grid_files(name, png)
    _upload(client, run_id, files)
    if figures:
        client.set_tag(run_id, _IMAGES_TAG, "True")


def _log(
    store: TrackingStore,
    study: str,
    tags: Mapping[str, str],
    figures: Mapping[str, bytes],
    files: Mapping[str, bytes],
    new_tags: Mapping[str, str],
) -> bool:
    with storage_errors(store, "cannot be written", _HINT):
        client = open_client(store)
        runs = _runs(client, study, tags)
        if not runs:
            return False
        run_id = str(runs[0].info.run_id)
        _upload(client, run_id, files)
        log_figures(client, run_id, figures)
        for name, value in new_tags.items():
            client.set_tag(run_id, name, value)
        return True


def _runs(client: MlflowClient, study: str, tags: Mapping[str, str]) -> list[Run]:
    experiment = client.get_experiment_by_name(study)
    return [] if experiment is None else tagged_runs(client, experiment.experiment_id, tags)


def _grid_files(name: str, png: bytes) -> dict[str, bytes]:
    """Return a figure and its thumbnail under the names that MLflow 3.17's image grid reads.

    `MlflowClient.log_image` chooses another time and identifier each time, so that an image that
    is logged again would be there twice.
    """
    from PIL import Image

    stem = f"{IMAGES}/{name}+step+0+timestamp+0+{uuid.uuid5(uuid.NAMESPACE_URL, name)}"
    thumbnail = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.thumbnail((_THUMBNAIL, _THUMBNAIL))
        image.convert("RGB").save(thumbnail, "WEBP")
    return {f"{stem}.png": png, f"{stem}+compressed.webp": thumbnail.getvalue()}


def _upload(client: MlflowClient, run_id: str, files: Mapping[str, bytes]) -> None:
    if not files:
        return
    with tempfile.TemporaryDirectory(prefix="balpoe_mlflow_") as scratch:
        for name, content in files.items():
            path = Path(scratch) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        client.log_artifacts(run_id, scratch)
