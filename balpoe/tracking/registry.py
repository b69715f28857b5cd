"""Final models as versions of a registered model in MLflow, and their evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlflow.entities import Metric

from balpoe.tracking.logged_figures import log_figures
from balpoe.tracking.run_lookup import tag_filter
from balpoe.tracking.tracking_store import TrackingStore, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CHAMPION = "champion"


def register_models(store: TrackingStore, name: str, identities: Sequence[str]) -> None:
    """Register logged models as versions of `name`, each once; the first one is `champion`.

    Args:
        store: The store with the models.
        name: The registered model; created if it does not exist.
        identities: The identity of each training, as in the provenance of its model.

    Raises:
        ValueError: a model is not logged.
        MlflowException: the store cannot be reached or refuses the request.
    """
    client = open_client(store)
    versions = _versions(client, name)
    for identity in identities:
        if identity not in versions:
            versions[identity] = _register(client, store, name, identity)
    champion = versions[identities[0]]
    registered = client.get_registered_model(name)
    if str(registered.aliases.get(CHAMPION)) != champion:
        client.set_registered_model_alias(name, CHAMPION, champion)


def log_evaluation(store: TrackingStore, identity: str, metrics: Mapping[str, float]) -> None:
    """Log the metrics of a model's test images that its run lacks.

    Raises:
        ValueError: the model is not logged.
        MlflowException: the store cannot be reached or refuses the request.
    """
    client = open_client(store)
    run = _run(client, identity)
    time = int(run.info.end_time or run.info.start_time)
    missing = {name: value for name, value in metrics.items() if name not in run.data.metrics}
    if missing:
        logged = [Metric(name, value, time, 0) for name, value in missing.items()]
        client.log_batch(run.info.run_id, metrics=logged)


def log_model_figures(store: TrackingStore, identity: str, figures: Mapping[str, bytes]) -> None:
    """Log figures, a PNG by name, to the run of a model.

    Raises:
        ValueError: the model is not logged.
        MlflowException: the store cannot be reached or refuses the request.
    """
    client = open_client(store)
    log_figures(client, str(_run(client, identity).info.run_id), figures)


def has_model(store: TrackingStore, identity: str) -> bool:
    """Return whether a model of this training is logged completely, in any experiment."""
    client = open_client(store)
    return any(run.info.status == "FINISHED" for run in _runs(client, identity))


def _versions(client: MlflowClient, name: str) -> dict[str, str]:
    """Return the version of each identity; create the registered model if it does not exist."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    found = client.search_model_versions(f"name = '{name}'")
    return {v.tags["identity"]: str(v.version) for v in found if "identity" in v.tags}


def _register(client: MlflowClient, store: TrackingStore, name: str, identity: str) -> str:
    run = _run(client, identity)
    [model, *_] = client.search_logged_models(
        [run.info.experiment_id], tag_filter({"role": "final", "identity": identity})
    )
    # A server refuses paths. For a database, MLflow 3.17 looks for a `models:` source in the store
    # of the process instead of that of the client.
    is_server = store.tracking_uri.startswith("http")
    version = client.create_model_version(
        name,
        source=f"models:/{model.model_id}" if is_server else str(model.artifact_location),
        run_id=run.info.run_id,
        tags={"identity": identity, "seed": run.data.params.get("seed", "")},
        description=run.info.run_name,
        model_id=model.model_id,
    )
    return str(version.version)


def _run(client: MlflowClient, identity: str) -> Run:
    runs = _runs(client, identity)
    if not runs:
        raise ValueError(f"MLflow has no model of the training {identity}")
    return runs[0]


def _runs(client: MlflowClient, identity: str) -> list[Run]:
    experiments = [found.experiment_id for found in client.search_experiments()]
    return list(
        client.search_runs(experiments, tag_filter({"role": "final", "identity": identity}))
    )
