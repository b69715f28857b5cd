"""The runs of a study as an MLflow store holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from balpoe.tracking.run_data import OBJECTIVE
from balpoe.tracking.run_lookup import tagged_runs
from balpoe.tracking.tracking_store import TrackingStore, open_client, storage_errors
from balpoe.tracking.trial_contents import FIXED
from balpoe.tracking.trial_ranks import SEEDS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True, slots=True)
class MirroredRun:
    """The run of one repeat of a trial.

    `status` is MLflow's: RUNNING, FINISHED, FAILED or KILLED. `parameters` are the
    searched ones, `steps` the epochs of every epoch metric, in the order of their times.
    """

    number: int
    repeat: int
    status: str
    parameters: Mapping[str, str]
    steps: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class MirroredStudy:
    """The status of each parent run of a study, and the runs of its trials."""

    parents: tuple[str, ...]
    runs: tuple[MirroredRun, ...]


def mirrored_study(store: TrackingStore, study: str) -> MirroredStudy:
    """Read all runs of `study` in `store`.

    Raises:
        StorageError: the store cannot be reached or read.
    """
    with storage_errors(store, "cannot be read", "start it, or check its address"):
        client = open_client(store)
        experiment = client.get_experiment_by_name(study)
        if experiment is None:
            return MirroredStudy((), ())
        parents = tagged_runs(client, experiment.experiment_id, {"role": "study"})
        runs = tagged_runs(client, experiment.experiment_id, {"role": "trial"})
        return MirroredStudy(
            tuple(str(run.info.status) for run in parents),
            tuple(_mirrored_run(client, run) for run in runs),
        )


def _mirrored_run(client: MlflowClient, run: Run) -> MirroredRun:
    names = [name for name in run.data.metrics if not name.startswith((OBJECTIVE, SEEDS))]
    return MirroredRun(
        number=int(run.data.tags["number"]),
        repeat=int(run.data.tags["repeat"]),
        status=str(run.info.status),
        parameters={
            name: value for name, value in run.data.params.items() if not name.startswith(FIXED)
        },
        steps={name: _steps(client, run.info.run_id, name) for name in names},
    )


def _steps(client: MlflowClient, run_id: str, metric: str) -> tuple[int, ...]:
    # MLflow does not define the order of a history.
    history = client.get_metric_history(run_id, metric)
    in_time = sorted(history, key=lambda point: (point.timestamp, point.step))
    return tuple(int(point.step) for point in in_time)
