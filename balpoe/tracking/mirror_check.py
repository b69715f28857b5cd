"""What an MLflow store holds of a study, read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from balpoe.errors import StorageError
from balpoe.tracking.tracking_store import TrackingStore, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_OBJECTIVE = "objective/"


@dataclass(frozen=True, slots=True)
class FoundRun:
    """The run of one repeat of a trial.

    `status` is MLflow's (RUNNING, FINISHED, FAILED, KILLED), `steps` the epochs of every
    epoch metric in the order of their times.
    """

    number: int
    repeat: int
    status: str
    parameters: Mapping[str, str]
    steps: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """The status of every run that stands for the study itself, and the runs of its trials."""

    parents: tuple[str, ...]
    runs: tuple[FoundRun, ...]


def found_study(store: TrackingStore, study: str) -> FoundStudy:
    """All that `store` holds of `study`.

    Raises:
        StorageError: the store cannot be reached or read.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = open_client(store)
        experiment = client.get_experiment_by_name(study)
        runs = [] if experiment is None else list(_runs(client, experiment.experiment_id))
        return FoundStudy(
            tuple(str(run.info.status) for run in _with_role(runs, "study")),
            tuple(_found_run(client, run) for run in _with_role(runs, "trial")),
        )
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise StorageError(
            f"{store.tracking_uri}: cannot be read: {error}; start it, or check its address"
        ) from error


def _runs(client: MlflowClient, experiment_id: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs([experiment_id], page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _with_role(runs: Iterable[Run], role: str) -> Iterator[Run]:
    return (run for run in runs if run.data.tags.get("role") == role)


def _found_run(client: MlflowClient, run: Run) -> FoundRun:
    names = [name for name in run.data.metrics if not name.startswith(_OBJECTIVE)]
    return FoundRun(
        number=int(run.data.tags["number"]),
        repeat=int(run.data.tags["repeat"]),
        status=str(run.info.status),
        parameters=dict(run.data.params),
        steps={name: _steps(client, run.info.run_id, name) for name in names},
    )


def _steps(client: MlflowClient, run_id: str, metric: str) -> tuple[int, ...]:
    """By time: how a store orders a history is left to it."""
    history = client.get_metric_history(run_id, metric)
    in_time = sorted(history, key=lambda point: (point.timestamp, point.step))
    return tuple(int(point.step) for point in in_time)
