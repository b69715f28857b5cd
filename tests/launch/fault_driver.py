"""`balpoe run` with trials that do no work, and a fault: `fault_driver.py STUDY [POINT TIMES]`.

To be run by `supervised.py`. The driver kills itself with SIGKILL when it comes to POINT for the
TIMES-th time. An epoch takes EPOCH_SECONDS of the environment, whose FAULT_HOST is the name that
the driver's host has for it.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
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
from balpoe.study.ledger import Ledger
from balpoe.study.metrics_file import write_metrics
from balpoe.study.parquet import sha256_of
from balpoe.study.predictions_file import Predictions, write_predictions
from balpoe.study.result_file import TrialResult, write_result
from balpoe.study.searcher import StudySearcher
from balpoe.study.trial import Course, TrialTask, _recorded_objectives
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
    "mirrored": (MirrorWriter, "close"),
}
_DRIVER, _TIMES = "FAULT_DRIVER", "FAULT_TIMES"


def recorded_trial(task: TrialTask) -> Course:
    """It trains nothing, but checkpoints, continues and records as a real one does."""
    known = _recorded_objectives(task)
    if known is not None:
        return known
    task.directory.create()
    checkpoints = CheckpointDirectory(task.directory.checkpoints, task.identity.attempt)
    newest = checkpoints.newest("idle")
    history = list(newest.history) if newest else []
    for epoch in range(len(history) + 1, task.spec.base.training.epochs + 1):
        time.sleep(float(os.environ.get("EPOCH_SECONDS", "0.05")))
        accuracy = float(task.parameters["mixup.alpha"]) / epoch
        metrics = {"train/loss": 1 / epoch, "val/accuracy": accuracy, "val/ece": 1 - accuracy}
        history.append(EpochResult(epoch, time.time(), metrics))
        checkpoints.save(Checkpoint("idle", tuple(history), {"state": torch.zeros(1)}))
        if task.identity.attempt == 0 and task.identity.number == epoch == _checkpoint_to_die_at():
            os.kill(int(os.environ[_DRIVER]), signal.SIGKILL)
        write_metrics(task.directory.metrics, history)
        yield history[-1]
    objectives = {name: history[-1].metrics[name] for name in task.spec.objectives}
    _record(task, history, objectives)
    return objectives


def _checkpoint_to_die_at() -> int:
    return int(os.environ.get(_TIMES, "0"))


def _record(task: TrialTask, history: list[EpochResult], objectives: dict[str, float]) -> None:
    files = (task.directory.metrics, task.directory.predictions)
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
    write_result(task.directory, result)


def die_after(owner: type, name: str, times: int) -> None:
    """Let the `times`-th return from a method be the last."""
    method: Callable[..., Any] = getattr(owner, name)
    calls = 0

    @functools.wraps(method)
    def fatal(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = method(*arguments, **options)
        if calls == times:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, fatal)


if __name__ == "__main__":
    _, study, *fault = sys.argv
    if pretended_host := os.environ.get("FAULT_HOST"):
        socket.gethostname = lambda: pretended_host
    os.environ[_DRIVER] = str(os.getpid())
    if fault:
        point, times = fault
        if point == CHECKPOINT:
            os.environ[_TIMES] = times
        else:
            die_after(*POINTS[point], int(times))
    studies.run_trials = functools.partial(  # type: ignore[attr-defined]  # the module imports it
        run_trials, run=recorded_trial
    )
    sys.argv = ["balpoe", "run", study]
    main()
