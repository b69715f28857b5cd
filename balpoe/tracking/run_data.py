"""The names, tags, metrics and status of a run in MLflow, from a trial's record."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialState
from balpoe.training.epoch import EpochResult

if TYPE_CHECKING:
    from mlflow.entities import Metric

Outcome = Literal["finished", "failed", "interrupted"]
"""How a launch of a study ended."""

# MLflow's system tags. `MlflowClient.create_run` sets none of them.
USER, GIT_COMMIT = "mlflow.user", "mlflow.source.git.commit"
STUDY_COMMIT = "study_commit"
PARENT_RUN, NOTE = "mlflow.parentRunId", "mlflow.note.content"
# A metric of every epoch; the first one of its epoch to be written.
EPOCH_MARKER = "train/loss"
OBJECTIVE = "objective/"  # of runs that an earlier version wrote
_LONGEST_CLASS = 180
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


@dataclass(frozen=True, slots=True)
class StudyFileCommit:
    """The commit of the study file in the launch that began at the Unix time `launched`.

    None if git does not track the file, or if an earlier version launched the study.
    """

    launched: float
    commit: str | None


@dataclass(frozen=True, slots=True)
class Origin:
    """The user and the commit of the code that created a run; None if unknown.

    `study_files` are the commits of the study file, one for each launch, in order.
    """

    user: str | None = None
    git_commit: str | None = None
    study_files: tuple[StudyFileCommit, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """MLflow's system tags for user and code."""
        return _known({USER: self.user, GIT_COMMIT: self.git_commit})

    def study_tags(self, began: float = math.inf) -> dict[str, str]:
        """The tag `study_commit` of what began at the Unix time `began`, by default now."""
        commits = [each.commit for each in self.study_files if each.launched <= began]
        return _known({STUDY_COMMIT: commits[-1]}) if commits else {}


def _known(tags: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if value is not None}


def run_name(record: TrialRecord) -> str:
    """`trial 0007`, or `trial 0007 repeat 1` for its first further seed."""
    name = f"trial {record.identity.number:04d}"
    return f"{name} repeat {record.identity.repeat}" if record.identity.repeat else name


def trial_tags(identity: TrialIdentity) -> dict[str, str]:
    """The tags by which the run of a repeat of a trial is found."""
    return {
        "role": "trial",
        "study": identity.study,
        "number": str(identity.number),
        "repeat": str(identity.repeat),
    }


def replaced_tags(epoch: int) -> dict[str, str]:
    """The tags of a run that was closed; the role, the last one, keeps it out of searches."""
    why = f"epoch {epoch} was trained again after a failure and had another {EPOCH_MARKER}"
    return {"replaced": why, "role": "replaced"}


def state_tags(record: TrialRecord) -> dict[str, str]:
    """The state of a trial; an empty `failure` replaces that of an earlier attempt.

    `host` is left out where it is not recorded, so that runs of earlier versions stay as they are.
    """
    tags = {
        "state": record.state,
        "attempt": str(record.identity.attempt),
        "failure": record.failure or "",
        "failure_class": record.failure_class or "",
        "data_fingerprint": record.data_fingerprint or "",
    }
    newest = record.attempts[-1] if record.attempts else None
    if newest is not None and newest.number == record.identity.attempt:
        tags["host"] = newest.host
    return tags


def epoch_metrics(history: Sequence[EpochResult]) -> Iterator[Metric]:
    """The metrics of each epoch with the epoch's own time; the marker is the first one."""
    from mlflow.entities import Metric

    for result in history:
        for name in sorted(result.metrics, key=lambda name: (name != EPOCH_MARKER, name)):
            value = result.metrics[name]
            yield Metric(metric_key(name), value, milliseconds(result.unix_time), result.epoch)


def metric_key(name: str) -> str:
    """The name of a metric in MLflow, which allows letters, digits, `_`, `-`, `.`, blanks and `/`.

    Within the name of a class, other characters and slashes become their code point in
    hexadecimal between colons, as does a name of dots, which MLflow takes for a path:
    `val/class/red:2f:green/recall`. A key of more than 250 characters is refused by MLflow: a long
    name of a class is cut, and a part of its sha256 appended.
    """
    head, found, rest = name.partition("val/class/")
    class_name, recall, _ = rest.rpartition("/recall")
    if not (found and recall):
        return name
    pattern = r"[^\w \-]" if not class_name.strip(".") else r"[^\w. \-]"
    escaped = re.sub(pattern, lambda match: f":{ord(match[0]):x}:", class_name)
    if len(escaped) > _LONGEST_CLASS:
        digest = hashlib.sha256(class_name.encode()).hexdigest()[:16]
        escaped = f"{escaped[:_LONGEST_CLASS]}:{digest}:"
    return f"{head}{found}{escaped}{recall}"


def milliseconds(unix_seconds: float) -> int:
    """Unix time in MLflow's unit."""
    return round(unix_seconds * 1000)
