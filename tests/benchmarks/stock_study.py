"""The yardstick of study overhead: Tune, OptunaSearch and MLflowLoggerCallback, as they come.

The trials do no work, import nothing heavy and keep no records: all that is measured is the
libraries' own.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import optuna
import ray
from mlflow import MlflowClient
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.experiment import Trial
from ray.tune.search.optuna import OptunaSearch

from tests.benchmarks.idle_trial import (
    CONCURRENT_TRIALS,
    OBJECTIVES,
    REPORT_SECONDS,
    REPORTS,
    idle_metrics,
)
from tests.benchmarks.overhead_figures import Figures, Stopwatch

EXPERIMENT = "stock"
SEARCH = {
    "experts.count": tune.randint(1, 8),
    "experts.spread": tune.uniform(0.0, 2.0),
    "experts.sharing": tune.choice(["shared", "independent"]),
    "mixup.alpha": tune.uniform(0.0, 1.0),
}


def run_stock_study(folder: Path, tracking_uri: str, trials: int, *, reuse_actors: bool) -> Figures:
    """Run a study of idle trials in `folder`; Ray runs and MLflow's tables exist beforehand."""
    client = MlflowClient(tracking_uri=tracking_uri)
    client.search_experiments()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        object_store_memory=100 * 2**20,
    )
    watch = _Watch()
    tune.Tuner(
        tune.with_resources(_idle_trial, {"cpu": 1}),
        param_space=SEARCH,
        tune_config=tune.TuneConfig(
            search_alg=_search(folder),
            num_samples=trials,
            max_concurrent_trials=CONCURRENT_TRIALS,
            reuse_actors=reuse_actors,
        ),
        run_config=tune.RunConfig(
            name=EXPERIMENT,
            storage_path=str(folder),
            callbacks=[MLflowLoggerCallback(tracking_uri, experiment_name=EXPERIMENT), watch],
            verbose=0,
        ),
    ).fit()
    figures = watch.stopwatch.figures(watch.report_seconds)
    ray.shutdown()
    _assert_all_arrived(client, trials)
    return figures


def _search(folder: Path) -> OptunaSearch:
    return OptunaSearch(
        metric=list(OBJECTIVES),
        mode=[goal[:3] for goal in OBJECTIVES.values()],
        storage=optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}"),
        study_name=EXPERIMENT,
        seed=0,
    )


def _idle_trial(parameters: dict[str, Any]) -> None:
    reported = time.perf_counter()
    for epoch in range(1, REPORTS + 1):
        now = time.perf_counter()
        tune.report(idle_metrics(epoch, parameters, now - reported))
        reported = now


class _Watch(tune.Callback):
    """Takes the times; the first report of a trial has none before it."""

    def __init__(self) -> None:
        self.stopwatch = Stopwatch()
        self.report_seconds: list[float] = []

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: object
    ) -> None:
        if result["training_iteration"] > 1:
            self.report_seconds.append(result[REPORT_SECONDS])

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: object
    ) -> None:
        self.stopwatch.trial_ended()


def _assert_all_arrived(client: MlflowClient, trials: int) -> None:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=trials + 1)
    assert len(runs) == trials
    assert len(client.get_metric_history(runs[0].info.run_id, REPORT_SECONDS)) == REPORTS
