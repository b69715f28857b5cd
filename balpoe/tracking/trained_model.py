"""A final training in MLflow: a run with its metrics, and the model as a pyfunc from code.

Run and model are looked up by the training's identity before they are created, and the run is
FINISHED once all is written. So logging can be interrupted and repeated at any point.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import numpy as np
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Param, RunStatus
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from balpoe.config import shift_metrics
from balpoe.tracking.pyfunc_model import ARTIFACT
from balpoe.tracking.run_data import Origin, epoch_metrics, milliseconds
from balpoe.tracking.run_lookup import find_or_create_experiment, tag_filter, tagged_runs
from balpoe.tracking.tracking_store import TrackingStore, open_client
from balpoe.tracking.trial_contents import flat_parameters
from balpoe.training.epoch import EpochResult
from balpoe.training.model_directory import Provenance, TrainedModel, load_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CODE = Path(__file__).with_name("pyfunc_model.py")


def log_trained_model(
    store: TrackingStore, path: Path, *, experiment: str, name: str, origin: Origin
) -> None:
    """Log the model directory `path` as a run and a model, unless MLflow has both.

    Raises:
        CorruptFile: the model directory is damaged.
        MlflowException: the store cannot be reached or refuses the request.
    """
    client = open_client(store)
    model = load_model(path)
    tags = {"role": "final", "identity": model.provenance.identity}
    experiment_id = find_or_create_experiment(client, store, experiment)
    runs = tagged_runs(client, experiment_id, tags)
    if not runs:
        runs = [client.create_run(experiment_id, tags=tags | origin.tags, run_name=name)]
    elif runs[0].info.status == RunStatus.to_string(RunStatus.FINISHED):
        return
    run_id = str(runs[0].info.run_id)
    models = client.search_logged_models([experiment_id], tag_filter(tags), max_results=1)
    if not models:
        # MLflow refuses blanks, dots, colons, slashes and quotes in the names of models.
        valid_name = re.sub(r"[^\w-]", "_", name)
        models += [
            client.create_logged_model(experiment_id, valid_name, run_id, tags, model_type="balpoe")
        ]
    model_id = str(models[0].model_id)
    _log_values(client, run_id, model_id, model)
    _log_files(client, run_id, model_id, path, model.provenance)
    client.set_terminated(run_id)


def _log_values(client: MlflowClient, run_id: str, model_id: str, model: TrainedModel) -> None:
    history = [EpochResult(**epoch) for epoch in model.metrics["epochs"]]
    metrics = [*epoch_metrics(history), *_test_metrics(model, history[-1], run_id, model_id)]
    values = flat_parameters(model.provenance.configuration) | {"seed": str(model.provenance.seed)}
    params = [Param(key, value) for key, value in values.items()]
    client.log_batch(run_id, metrics=metrics, params=params)


def _test_metrics(
    model: TrainedModel, last: EpochResult, run_id: str, model_id: str
) -> Iterator[Metric]:
    """Every metric of the whole test set; of its subsets only accuracy and ECE."""
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
            # MLflow warns of types that the signature states.
            warnings.simplefilter("ignore")
            mlflow.pyfunc.save_model(
                path=directory,
                mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
                python_model=str(_CODE),
                artifacts={ARTIFACT: str(path.resolve())},
                signature=_signature(provenance),
                input_example=_input_example(provenance),
                pip_requirements=[f"balpoe=={provenance.balpoe_version}"],
            )
        client.log_model_artifacts(model_id, str(directory))
    outputs = client.get_run(run_id).outputs
    if not outputs or not outputs.model_outputs:  # the store refuses a second one
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)


def _input_example(provenance: Provenance) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """One image whose pixels are the mean of the training images, uint8 [1, H, W, D]."""
    data = provenance.description
    mean_d = (255 * np.asarray(data.normalisation.mean)).round().astype(np.uint8)
    return np.broadcast_to(mean_d, (1, data.height, data.width, data.channels)).copy()


def _signature(provenance: Provenance) -> ModelSignature:
    """From images uint8 [N, H, W, D] to probabilities float32 [N, C]."""
    data = provenance.description
    images = (-1, data.height, data.width, data.channels)
    probabilities = (-1, len(data.class_names))
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), images)]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), probabilities)]),
    )
