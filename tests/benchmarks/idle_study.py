"""Our executor, searcher and mirror on trials that do no work but keep full records."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
from mlflow import MlflowClient

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Configuration,
    Direction,
    FloatParameter,
    IntParameter,
    ResourcesConfig,
    StudySpec,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.parquet_tables import sha256_of
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.ray_session import connected_ray
from balpoe.study.execution.trial import Course, TrialTask
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.live_records import LiveRecords
from balpoe.study.records.record_store import RecordStore
from balpoe.study.records.running_epochs import RunningEpochsFile
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import StudyEvent, TrialEnded, TrialEvent
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.study.trials.record import TrialRecord
from balpoe.study.trials.result_file import TrialResult, write_result
from balpoe.tracking import MirrorReport, Origin, TrackingStore, start_mirror
from balpoe.training.epoch import EpochResult
from balpoe.training.predictions_file import Predictions, write_predictions
from tests.benchmarks.idle_trial import (
    CONCURRENT_TRIALS,
    OBJECTIVES,
    REPORT_SECONDS,
    REPORTS,
    idle_metrics,
)
from tests.benchmarks.overhead_figures import Figures, Stopwatch

DRAIN_SECONDS = 3600.0
LOGITS = np.zeros((100, 3, 10), np.float32)
LABELS = np.zeros(100, np.int64)


def idle_spec(trials: int) -> StudySpec:
    """The search of studies/digits_lt.yaml."""
    return StudySpec(
        name="ours",
        base=Configuration(data=DigitsLT()),
        search={
            "experts.count": IntParameter(low=1, high=7),
            "experts.spread": FloatParameter(low=0.0, high=2.0),
            "experts.sharing": CategoricalParameter(choices=("shared", "independent")),
            "mixup.alpha": FloatParameter(low=0.0, high=1.0),
        },
        objectives=cast("dict[str, Direction]", OBJECTIVES),
        budget=BudgetConfig(trials=trials),
        resources=ResourcesConfig(concurrent_trials=CONCURRENT_TRIALS),
    )


def idle_trial(task: TrialTask) -> Course:
    """Report epochs that took no work, and write the records that a trial leaves."""
    started = time.time()
    task.directory.create()
    history = []
    for epoch in _idle_epochs(task):
        history.append(epoch)
        yield epoch
    write_metrics(task.directory.metrics, history)
    write_predictions(task.directory.predictions, Predictions(LOGITS, LABELS))
    objectives = {name: history[-1].metrics[name] for name in OBJECTIVES}
    write_result(task.directory, _result(task, objectives, started))
    return objectives


def _idle_epochs(task: TrialTask) -> Iterator[EpochResult]:
    reported = time.perf_counter()
    for epoch in range(1, REPORTS + 1):
        now = time.perf_counter()
        metrics = idle_metrics(epoch, task.parameters, now - reported)
        reported = now
        yield EpochResult(epoch, time.time(), metrics)


def _result(task: TrialTask, objectives: dict[str, float], started: float) -> TrialResult:
    files = (task.directory.metrics, task.directory.predictions)
    return TrialResult(
        identity=task.identity,
        parameters=task.parameters,
        objectives=objectives,
        seed=0,
        data_fingerprint="none",
        started=started,
        ended=time.time(),
        files={path.name: sha256_of(path) for path in files},
    )


def run_our_study(folder: Path, store: TrackingStore, trials: int) -> Figures:
    """Run `trials` idle trials in `folder`, after those that its study has already.

    MLflow's tables are made, and Ray is started, before the clock is; MLflow holds everything
    when it stops.
    """
    client = MlflowClient(tracking_uri=store.tracking_uri)
    client.search_experiments()
    directory = StudyDirectory.of(folder, idle_spec(1).name)
    directory.create()
    stored = Ledger(idle_spec(1), directory).finished()
    spec = idle_spec(stored + trials)
    with connected_ray():
        records = RecordStore(spec, directory)
        mirror = start_mirror(store, spec, Origin())
        for record in records.records():
            mirror.submit(record)
        live = LiveRecords(records)
        stopwatch = Stopwatch()
        with RunningEpochsFile(directory) as running_epochs:

            def follow(event: StudyEvent) -> None:
                if isinstance(event, TrialEvent):
                    mirror.submit(live.after(event))
                running_epochs.follow(event)
                if isinstance(event, TrialEnded):
                    stopwatch.trial_ended()

            run_trials(spec, directory, follow, run=idle_trial)
        report = mirror.close("finished", deadline_seconds=DRAIN_SECONDS)
        new = range(stored, stored + trials)
        figures = stopwatch.figures(_report_seconds([records.record(number) for number in new]))
    assert report == MirrorReport(missed=0, error=None)
    _assert_all_arrived(client, spec.name, stored + trials)
    return figures


def _report_seconds(records: list[TrialRecord]) -> list[float]:
    """From each report of a trial to its next; the first has none before it."""
    assert all(record.state == "COMPLETE" for record in records)
    return [epoch.metrics[REPORT_SECONDS] for record in records for epoch in record.history[1:]]


def _assert_all_arrived(client: MlflowClient, study: str, trials: int) -> None:
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    runs = client.search_runs(
        [experiment.experiment_id], "tags.role = 'trial'", max_results=trials + 1
    )
    assert len(runs) == trials
    for run in (runs[0], runs[-1]):
        assert len(client.get_metric_history(run.info.run_id, REPORT_SECONDS)) == REPORTS
