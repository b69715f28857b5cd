"""Experiments by name, and runs by tags, in an MLflow store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from balpoe.tracking.tracking_store import TrackingStore

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_RUNS_PER_PAGE = 1000


def find_or_create_experiment(client: MlflowClient, store: TrackingStore, name: str) -> str:
    """Return the id of the experiment `name`; restore it if it is deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        root = store.artifact_root
        location = None if root is None else (root / name).as_uri()
        return client.create_experiment(name, artifact_location=location)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def tagged_runs(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> list[Run]:
    """Return all runs that have all of `tags`, the oldest first."""
    found: list[Run] = []
    token: str | None = None
    while token is None or token:
        page = client.search_runs(
            [experiment_id],
            tag_filter(tags),
            max_results=_RUNS_PER_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        found += page
        token = page.token or ""
    return found


def tag_filter(tags: Mapping[str, str]) -> str:
    """The search expression for what has all of `tags`."""
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
