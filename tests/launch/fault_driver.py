"""`balpoe run` with trials that do no work, and a fault: `fault_driver.py STUDY [POINT TIMES]…`.

To be run by `supervised.py`. The driver kills itself with SIGKILL when it comes to POINT for the
TIMES-th time, or makes the file FAULT_HALT and waits while that is there. An epoch takes
EPOCH_SECONDS of the environment; the study runs on the cluster at CLUSTER_ADDRESS, where there is
one, the driver takes FAULT_HOST for the name of its host, and waits FAULT_PATIENCE seconds for a
database. Trials whose numbers are in the file `runs/held` do not get past an epoch.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
import torch
from mlflow import MlflowClient

from balpoe.atomic_write import storage_error
from balpoe.cli.main import main
from balpoe.launch import run as studies
from balpoe.parquet_tables import sha256_of
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.searcher import StudySearcher
from balpoe.study.execution.trial import Course, TrialTask, _recorded_objectives
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.storage import reconnecting_storage
from balpoe.study.trials.attempt_check import claim, require_newest, writing_as_newest
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.study.trials.result_file import TrialResult, training_seed, write_result
from balpoe.tracking import MirrorWriter
from balpoe.training.checkpoint import Checkpoint, CheckpointDirectory
from balpoe.training.epoch import EpochResult
from balpoe.training.predictions_file import Predictions, write_predictions

CHECKPOINT = "checkpoint"
POINTS: dict[str, tuple[type, str]] = {
    "planned": (optuna.Study, "enqueue_trial"),
    "half asked": (optuna.Trial, "suggest_float"),
    "asked": (Ledger, "ask"),
    "run created": (MlflowClient, "create_run"),
    "reported": (StudySearcher, "on_trial_result"),
    "completed": (Ledger, "complete"),
    "judged": (StudyTrials, "prune"),
    "pruned": (Ledger, "prune"),
    "mirrored": (MirrorWriter, "close"),
}
BEFORE = ("judged",)
_DRIVER, _TIMES = "FAULT_DRIVER", "FAULT_TIMES"


def recorded_trial(task: TrialTask) -> Course:
    """Train nothing, but write checkpoints, resume and record like a real trial."""
    known = _recorded_objectives(task)
    if known is not None:
        return known
    task.directory.create()
    claim(task.directory, task.identity.attempt)
    reach("begun", task)
    checkpoints = CheckpointDirectory(task.directory.checkpoints, task.identity.attempt)
    newest = checkpoints.newest("idle")
    history = list(newest.history) if newest else []
    for epoch in range(len(history) + 1, task.spec.base.training.epochs + 1):
        time.sleep(epoch_seconds(task))
        log_epoch(task, epoch)
        await_release(task)
        accuracy = float(task.parameters["mixup.alpha"]) / epoch
        metrics = {"train/loss": 1 / epoch}
        metrics |= {f"val/{name}": accuracy for name in ("accuracy", "balanced_accuracy")}
        metrics |= {f"val/{name}": 1 - accuracy for name in ("ece", "balanced_ece")}
        history.append(EpochResult(epoch, task.now(), metrics))
        checkpoints.save(Checkpoint("idle", tuple(history), {"state": torch.zeros(1)}))
        if task.identity.attempt == 0 and epoch == _checkpoint_to_die_at():
            os.kill(int(os.environ[_DRIVER]), signal.SIGKILL)
        reach(f"checkpoint {epoch}", task)
        require_newest(task.directory, task.identity.attempt)
        write_metrics(task.directory.metrics, history)
        yield history[-1]
    objectives = {name: history[-1].metrics[name] for name in task.spec.objectives}
    record(task, history, objectives)
    return objectives


def reach(point: str, task: TrialTask) -> None:
    """Where a study's question is `MORTAL dies at POINT, …`, its trials 1, … let that happen once.

    MORTAL is the `node` or its `raylet`, of which the worker is a child.
    """
    mortal, _, deadly = task.spec.question.partition(";")[0].partition(" dies at ")
    mortals = dict(enumerate(deadly.split(", "), 1))
    if task.identity.attempt or mortals.get(task.identity.number) != point:
        return
    os.kill(os.getppid(), signal.SIGKILL)
    if mortal == "node":
        os.kill(os.getpid(), signal.SIGKILL)


def await_release(task: TrialTask) -> None:
    """Wait in an epoch while the trial is held."""
    *_, home = task.directory.path.parents[:5]
    with suppress(FileNotFoundError):
        while str(task.identity.number) in (home / "runs/held").read_text().split():
            time.sleep(0.1)


def epoch_seconds(task: TrialTask) -> float:
    """Return the seconds in the study's question, which reaches every node, or the environment."""
    found = re.search(r"an epoch takes (\S+) s", task.spec.question)
    return float(found[1] if found else os.environ.get("EPOCH_SECONDS", "0.05"))


def log_epoch(task: TrialTask, epoch: int) -> None:
    """Log the work that is done, even if it is lost."""
    path = task.directory.path / "epochs.log"
    node = ray.get_runtime_context().get_node_id()
    try:
        with path.open("a") as file:
            file.write(f"{task.identity.attempt} {epoch} {node}\n")
    except OSError as error:
        raise storage_error(path, error) from error


def _checkpoint_to_die_at() -> int:
    return int(os.environ.get(_TIMES, "0"))


def record(task: TrialTask, history: list[EpochResult], objectives: dict[str, float]) -> None:
    """Write the files of a complete trial."""
    files = (task.directory.metrics, task.directory.predictions)
    nothing = Predictions(np.zeros((2, 1, 10), np.float32), np.zeros(2, np.int64))
    with writing_as_newest(task.directory, task.identity.attempt):
        write_metrics(files[0], history)
        write_predictions(files[1], nothing)
    result = TrialResult(
        identity=task.identity,
        parameters=task.parameters,
        objectives=objectives,
        seed=training_seed(task.spec.seed, task.identity.repeat),
        data_fingerprint="none",
        started=history[0].unix_time,
        ended=task.now(),
        files={path.name: sha256_of(path) for path in files},
    )
    reach("recorded", task)
    with writing_as_newest(task.directory, task.identity.attempt):
        write_result(task.directory, result)
    reach("result", task)


def die_at(owner: type, name: str, times: int, *, before: bool) -> None:
    """Die after the `times`-th return from a method, or `before` its call."""
    method: Callable[..., Any] = getattr(owner, name)
    calls = 0

    @functools.wraps(method)
    def fatal(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = None if before and calls == times else method(*arguments, **options)
        if calls == times:
            _strike()
        return answer

    setattr(owner, name, fatal)


def _strike() -> None:
    """Die; if FAULT_HALT names a file, create it instead and continue when it is deleted."""
    halt = os.environ.get("FAULT_HALT")
    if halt is None:
        os.kill(os.getpid(), signal.SIGKILL)
        return
    Path(halt).touch()
    while Path(halt).exists():
        time.sleep(0.02)


if __name__ == "__main__":
    _, study, *faults = sys.argv
    pretended_host = os.environ.get("FAULT_HOST", socket.gethostname())
    socket.gethostname = lambda: pretended_host
    os.environ[_DRIVER] = str(os.getpid())
    reconnecting_storage.PATIENCE_SECONDS = float(
        os.environ.get("FAULT_PATIENCE", reconnecting_storage.PATIENCE_SECONDS)
    )
    for point, times in zip(faults[::2], faults[1::2], strict=True):
        if point == CHECKPOINT:
            os.environ[_TIMES] = times
        else:
            die_at(*POINTS[point], int(times), before=point in BEFORE)
    studies.run_trials = functools.partial(  # type: ignore[attr-defined]  # the module imports it
        run_trials, run=recorded_trial
    )
    address = os.environ.get("CLUSTER_ADDRESS", "local")
    sys.argv = ["balpoe", "run", study, "--address", address]
    main()
