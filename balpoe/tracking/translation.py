"""What MLflow is told of a trial: names, tags and metrics, translated from its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlflow.entities import Metric
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_USER

from balpoe.study.trials.record import TrialRecord, TrialState
from balpoe.tracking.run import Origin, Outcome
from balpoe.training.epoch import EpochResult

EPOCH_MARKER = "train/loss"  # every epoch has it; written last, it says that the epoch is whole
TRIAL_STATUS: Mapping[TrialState, str] = {
    "RUNNING": "RUNNING",
    "COMPLETE": "FINISHED",
    "PRUNED": "FINISHED",
    "FAIL": "FAILED",
}
STUDY_STATUS: Mapping[Outcome, str] = {
    "finished": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}


def run_name(record: TrialRecord) -> str:
    """`trial 0007`; further seeds of it are `trial 0007 repeat 1` and so on."""
    name = f"trial {record.identity.number:04d}"
    return f"{name} repeat {record.identity.repeat}" if record.identity.repeat else name


def identity_tags(record: TrialRecord) -> dict[str, str]:
    """The tags by which the run of a trial is found."""
    return {
        "role": "trial",
        "study": record.identity.study,
        "number": str(record.identity.number),
        "repeat": str(record.identity.repeat),
    }


def origin_tags(origin: Origin) -> dict[str, str]:
    """MLflow's own tags for user and commit: it creates runs without them."""
    tags = {MLFLOW_USER: origin.user, MLFLOW_GIT_COMMIT: origin.git_commit}
    return {name: value for name, value in tags.items() if value is not None}


def state_tags(record: TrialRecord) -> dict[str, str]:
    """How a trial stands; an empty `failure` takes back that of an earlier attempt."""
    return {
        "state": record.state,
        "attempt": str(record.identity.attempt),
        "failure": record.failure or "",
        "failure_class": record.failure_class or "",
        "data_fingerprint": record.data_fingerprint or "",
    }


def epoch_metrics(history: Sequence[EpochResult]) -> Iterator[Metric]:
    """The metrics of each epoch under their own time, with the marker as the last."""
    for result in history:
        for name in sorted(result.metrics, key=lambda name: (name == EPOCH_MARKER, name)):
            value = result.metrics[name]
            yield Metric(name, value, milliseconds(result.unix_time), result.epoch)


def objective_metrics(record: TrialRecord) -> list[Metric]:
    """`objective/<metric>`: columns that only trials with a value have.

    MLflow drops a metric that it already holds with the same time, step and value.
    """
    if record.objectives is None or not record.history:
        return []
    last = record.history[-1]
    time = milliseconds(last.unix_time)
    return [
        Metric(f"objective/{name}", value, time, last.epoch)
        for name, value in record.objectives.items()
    ]


def milliseconds(unix_seconds: float) -> int:
    """The unit of all times in MLflow."""
    return round(unix_seconds * 1000)
