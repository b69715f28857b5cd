"""`balpoe run` with trials that do no work, and a fault: `fault_driver.py STUDY [POINT TIMES]`.

To be run by `supervised.py`. The driver kills itself with SIGKILL when it comes to POINT for the
TIMES-th time. An epoch takes EPOCH_SECONDS of the environment; the study runs on the cluster at
CLUSTER_ADDRESS, where there is one.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import torch
from mlflow import MlflowClient

from balpoe.cli.main import main
from balpoe.launch import studies
from balpoe.study.executor import run_trials
from balpoe.study.fence import claim, require_newest
from balpoe.study.ledger import Ledger
from balpoe.study.metrics_file import write_metrics
from balpoe.study.parquet import sha256_of
from balpoe.study.predictions_file import Predictions, write_predictions
from balpoe.study.result_file import TrialResult, write_result
from balpoe.study.searcher import StudySearcher
from balpoe.study.trial import Course, TrialTask, _recorded_objectives
from balpoe.study.trial_book import TrialBook
from balpoe.tracking import MirrorWriter
from balpoe.training.checkpoint import Checkpoint, CheckpointDirectory
from balpoe.training.epoch import EpochResult

CHECKPOINT = "checkpoint"
POINTS: dict[str, tuple[type, str]] = {
    "planned": (optuna.Study, "enqueue_trial"),
    "half asked": (optuna.Trial, "suggest_float"),
    "asked": (Ledger, "ask"),
    "run created": (MlflowClient, "create_run"),
    "reported": (StudySearcher, "on_trial_result"),
    "told": (Ledger, "complete"),
    "judged": (TrialBook, "prune"),
    "pruned": (Ledger, "prune"),
    "mirrored": (MirrorWriter, "close"),
}
BEFORE = ("judged",)
_DRIVER, _TIMES = "FAULT_DRIVER", "FAULT_TIMES"


def recorded_trial(task: TrialTask) -> Course:
    """It trains nothing, but checkpoints, continues and records as a real one does."""
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
        time.sleep(float(os.environ.get("EPOCH_SECONDS", "0.05")))
        log_epoch(task, epoch)
        accuracy = float(task.parameters["mixup.alpha"]) / epoch
        metrics = {"train/loss": 1 / epoch, "val/accuracy": accuracy, "val/ece": 1 - accuracy}
        history.append(EpochResult(epoch, time.time(), metrics))
        checkpoints.save(Checkpoint("idle", tuple(history), {"state": torch.zeros(1)}))
        if task.identity.attempt == 0 and task.identity.number == epoch == _checkpoint_to_die_at():
            os.kill(int(os.environ[_DRIVER]), signal.SIGKILL)
        reach(f"checkpoint {epoch}", task)
        require_newest(task.directory, task.identity.attempt)
        write_metrics(task.directory.metrics, history)
        yield history[-1]
    objectives = {name: history[-1].metrics[name] for name in task.spec.objectives}
    _record(task, history, objectives)
    return objectives


def reach(point: str, task: TrialTask) -> None:
    """Where a study's question is `MORTAL dies at POINT`, its trial 1 lets that happen once.

    MORTAL is the `node` or its `raylet`, of which the worker is a child.
    """
    mortal, _, deadly = task.spec.question.partition(" dies at ")
    if deadly != point or (task.identity.number, task.identity.attempt) != (1, 0):
        return
    os.kill(os.getppid(), signal.SIGKILL)
    if mortal == "node":
        os.kill(os.getpid(), signal.SIGKILL)


def log_epoch(task: TrialTask, epoch: int) -> None:
    """Keep account of the work that is done, lost or not."""
    with (task.directory.path / "epochs.log").open("a") as file:
        file.write(f"{task.identity.attempt} {epoch}\n")


def _checkpoint_to_die_at() -> int:
    return int(os.environ.get(_TIMES, "0"))


def _record(task: TrialTask, history: list[EpochResult], objectives: dict[str, float]) -> None:
    files = (task.directory.metrics, task.directory.predictions)
    require_newest(task.directory, task.identity.attempt)
    write_metrics(files[0], history)
    write_predictions(
        files[1], Predictions(np.zeros((2, 1, 10), np.float32), np.zeros(2, np.int64))
    )
    result = TrialResult(
        identity=task.identity,
        parameters=task.parameters,
        objectives=objectives,
        seed=0,
        data_fingerprint="none",
        started=history[0].unix_time,
        ended=time.time(),
        files={path.name: sha256_of(path) for path in files},
    )
    reach("recorded", task)
    require_newest(task.directory, task.identity.attempt)
    write_result(task.directory, result)
    reach("result", task)


def die_at(owner: type, name: str, times: int, *, before: bool) -> None:
    """Let the `times`-th return from a method be the last, or the call that comes `before` it."""
    method: Callable[..., Any] = getattr(owner, name)
    calls = 0

    @functools.wraps(method)
    def fatal(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = None if before and calls == times else method(*arguments, **options)
        if calls == times:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, fatal)


if __name__ == "__main__":
    _, study, *fault = sys.argv
    os.environ[_DRIVER] = str(os.getpid())
    if fault:
        point, times = fault
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
