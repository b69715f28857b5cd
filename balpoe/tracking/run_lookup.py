"""What MLflow holds already: experiments by name, runs and models by tags, found before created."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlflow.entities import LifecycleStage

from balpoe.tracking.tracking_store import TrackingStore

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_RUNS_PER_PAGE = 1000


def experiment_called(client: MlflowClient, store: TrackingStore, name: str) -> str:
    """The id of the experiment `name`, created or brought back from deletion if need be."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)
    root = store.artifact_root
    location = None if root is None else (root / name).as_uri()
    return client.create_experiment(name, artifact_location=location)


def run_tagged(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> str | None:
    """The id of the run that carries all of `tags`, the oldest if there were several."""
    found = client.search_runs(
        [experiment_id],
        _all_of(tags),
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    return str(found[0].info.run_id) if found else None


def runs_tagged(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> list[Run]:
    """All runs that carry all of `tags`, with what they hold, the oldest first."""
    found: list[Run] = []
    token: str | None = None
    while token is None or token:
        page = client.search_runs(
            [experiment_id],
            _all_of(tags),
            max_results=_RUNS_PER_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        found += page
        token = page.token or ""
    return found


def model_tagged(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> str | None:
    """The id of the logged model that carries all of `tags`, finished or not."""
    found = client.search_logged_models([experiment_id], _all_of(tags), max_results=1)
    return str(found[0].model_id) if found else None


def _all_of(tags: Mapping[str, str]) -> str:
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
