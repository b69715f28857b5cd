"""`balpoe run` with a trial that does no work and saves one checkpoint.

The arguments are STUDY SHIFT. After the checkpoint, each attempt but the first has a loss that is
larger by SHIFT.
"""

from __future__ import annotations

import functools
import os
import sys
import time

import torch

from balpoe.cli.main import main
from balpoe.launch import run as studies
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.trial import Course, TrialTask
from balpoe.study.trials.attempt_check import claim
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.training.checkpoint import Checkpoint, CheckpointDirectory
from balpoe.training.epoch import EpochResult
from tests.launch.fault_driver import record

SAVED_EPOCH, EPOCH_SECONDS = 2, 0.3


def trial(task: TrialTask) -> Course:
    """Write a checkpoint after the epoch `SAVED_EPOCH` only."""
    task.directory.create()
    claim(task.directory, task.identity.attempt)
    checkpoints = CheckpointDirectory(task.directory.checkpoints, task.identity.attempt)
    newest = checkpoints.newest("live")
    history = list(newest.history) if newest else []
    write_metrics(task.directory.metrics, history)
    shift = float(os.environ["LIVE_SHIFT"]) * task.identity.attempt
    for epoch in range(len(history) + 1, task.spec.base.training.epochs + 1):
        time.sleep(EPOCH_SECONDS)
        names = ("accuracy", "balanced_accuracy", "ece", "balanced_ece")
        metrics = {"train/loss": 1 / epoch + shift, **{f"val/{name}": 0.5 for name in names}}
        history.append(EpochResult(epoch, task.now(), metrics))
        if epoch == SAVED_EPOCH:
            checkpoints.save(Checkpoint("live", tuple(history), {"state": torch.zeros(1)}))
        yield history[-1]
    objectives = {name: history[-1].metrics[name] for name in task.spec.objectives}
    record(task, history, objectives)
    return objectives


if __name__ == "__main__":
    _, study, os.environ["LIVE_SHIFT"] = sys.argv
    studies.run_trials = functools.partial(  # type: ignore[attr-defined]  # the module imports it
        run_trials, run=trial
    )
    sys.argv = ["balpoe", "run", study]
    main()
