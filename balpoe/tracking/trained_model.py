"""A final training in MLflow: a run with its figures, and the model as a pyfunc from code.

Run and model are found by the identity of the training before they are created; the run is
FINISHED once all is there. So logging may be repeated, and interrupted anywhere.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import numpy as np
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Param, RunStatus
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from balpoe.config import shift_metrics
from balpoe.tracking.pyfunc_model import ARTIFACT
from balpoe.tracking.run import Origin
from balpoe.tracking.run_lookup import experiment_called, model_tagged, run_tagged
from balpoe.tracking.tracking_store import TrackingStore, open_client
from balpoe.tracking.translation import epoch_metrics, milliseconds, origin_tags
from balpoe.training.epoch import EpochResult
from balpoe.training.model_directory import Provenance, TrainedModel, load_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CODE = Path(__file__).with_name("pyfunc_model.py")
_PER_BATCH = 1000  # the most metrics that MLflow accepts in one request


def log_trained_model(
    store: TrackingStore, path: Path, *, experiment: str, name: str, origin: Origin
) -> None:
    """Log the model directory `path` as the run and the model `name`, unless that is done.

    Raises:
        CorruptFile: the model directory is damaged.
        MlflowException: the store refuses, or cannot be reached.
    """
    client = open_client(store)
    model = load_model(path)
    tags = {"role": "final", "identity": model.provenance.identity}
    experiment_id = experiment_called(client, store, experiment)
    run_id = run_tagged(client, experiment_id, tags)
    if run_id is None:
        run = client.create_run(experiment_id, tags=tags | origin_tags(origin), run_name=name)
        run_id = str(run.info.run_id)
    elif client.get_run(run_id).info.status == RunStatus.to_string(RunStatus.FINISHED):
        return
    model_id = model_tagged(client, experiment_id, tags)
    if model_id is None:
        created = client.create_logged_model(
            experiment_id, _model_name(name), run_id, tags, model_type="balpoe"
        )
        model_id = str(created.model_id)
    _log_figures(client, run_id, model_id, model)
    _log_files(client, run_id, model_id, path, model.provenance)
    client.set_terminated(run_id)


def _log_figures(client: MlflowClient, run_id: str, model_id: str, model: TrainedModel) -> None:
    history = [EpochResult(**epoch) for epoch in model.metrics["epochs"]]
    metrics = [*epoch_metrics(history), *_test_metrics(model, history[-1], run_id, model_id)]
    for start in range(0, len(metrics), _PER_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _PER_BATCH])
    params = dict(_flat(model.provenance.configuration)) | {"seed": model.provenance.seed}
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])


def _test_metrics(
    model: TrainedModel, last: EpochResult, run_id: str, model_id: str
) -> Iterator[Metric]:
    """All that was measured on the whole test set; of its cuts accuracy and ECE."""
    for name, value in model.metrics["final"].items():
        split, _, metric = name.partition("/")
        if split == "test" or metric in shift_metrics():
            time = milliseconds(last.unix_time)
            yield Metric(name, value, time, last.epoch, model_id=model_id, run_id=run_id)


def _log_files(
    client: MlflowClient, run_id: str, model_id: str, path: Path, provenance: Provenance
) -> None:
    with tempfile.TemporaryDirectory(prefix="balpoe_mlflow_") as scratch:
        directory = Path(scratch) / "model"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow asks for an example where it has a signature
            mlflow.pyfunc.save_model(
                path=directory,
                mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
                python_model=str(_CODE),
                artifacts={ARTIFACT: str(path.resolve())},
                signature=_signature(provenance),
                pip_requirements=[f"balpoe=={provenance.balpoe_version}"],
            )
        client.log_model_artifacts(model_id, str(directory))
    if not _outputs(client, run_id):  # the store refuses to be told twice
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)


def _outputs(client: MlflowClient, run_id: str) -> list[LoggedModelOutput]:
    outputs = client.get_run(run_id).outputs
    return list(outputs.model_outputs) if outputs else []


def _signature(provenance: Provenance) -> ModelSignature:
    """Images uint8 [N, H, W, D] to probabilities float32 [N, C]."""
    data = provenance.description
    images = (-1, data.height, data.width, data.channels)
    probabilities = (-1, len(data.class_names))
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), images)]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), probabilities)]),
    )


def _model_name(name: str) -> str:
    """MLflow refuses blanks, dots, colons, slashes and quotes in the names of models."""
    return re.sub(r"[^\w-]", "_", name)


def _flat(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
