"""The Ray actor that runs trials one after another; one call of `step` is one epoch.

Workers import this module: it must not lead to Optuna or MLflow.
"""

from __future__ import annotations

import gc
import os
import time
from dataclasses import asdict
from typing import Any

import torch
from ray import tune

from balpoe.config import StudySpec
from balpoe.study.execution.gpu_memory import memory_limit
from balpoe.study.execution.study_clock import Clock, Timekeeper, clock_of
from balpoe.study.execution.trial import Course, RunTrial, TrialTask
from balpoe.study.execution.worker_check import WorkerRequirements, check_worker
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure, failure_of
from balpoe.study.trials.record import TrialIdentity
from balpoe.training.memory import device_memory, limit_memory, total_memory

IDENTITY, PARAMETERS, GPUS = "identity", "parameters", "gpus"
EPOCH, COMPLETE, MEMORY = "epoch", "complete", "memory"
FAILURE, FAILURE_CLASS = "failure", "failure_class"
_DONE = "done"

_GPU = torch.device("cuda")


class TrialActor(tune.Trainable):
    """Runs the trial that its configuration names, and reports its objectives.

    What goes wrong in a trial is reported as a result with the reason, so that only the death
    of the worker itself is an error to Tune.
    """

    _course: Course | None

    def setup(  # type: ignore[override]  # tune.with_parameters adds the keyword arguments
        self,
        config: dict[str, Any],
        *,
        spec: StudySpec,
        directory: StudyDirectory,
        run: RunTrial,
        needs: WorkerRequirements,
        timekeeper: Timekeeper | None,
    ) -> None:
        """Keep what all trials of the study share. Nothing is begun before the first step.

        A worker without what it `needs` runs no trial. `timekeeper` is beside the driver, which may
        be on another host.
        """
        self._timekeeper = timekeeper
        self._spec, self._directory, self._run = spec, directory, run
        self._unfit = check_worker(needs)
        self._is_device_lost = False
        self._begin(config)

    def step(self) -> dict[str, Any]:
        """One more epoch, or the end of the trial."""
        if self._unfit is not None:
            return _failed(self._unfit)
        try:
            if self._course is None:
                if self._shares_gpu:
                    limit_memory(_GPU, memory_limit(self._gpus, total_memory(_GPU)))
                self._course = self._run(self._task)
            report = self._next_report(self._course)
        except Exception as error:
            self._is_device_lost = isinstance(error, torch.AcceleratorError)
            report = _failed(failure_of(error))
        if _DONE in report:
            _release_device_memory()
        return report

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Leave the trial and take another.

        What goes wrong in leaving is no failure of the other, to which Tune would charge it. A
        worker whose device was lost ends: every trial that it took would fail. This one is begun
        again elsewhere.
        """
        try:
            self.cleanup()
        except Exception as error:
            # Nobody needs the checkpoint of a trial stopped early, and one that is taken up again
            # has an earlier; a disk that is full stops the other trial too.
            self._is_device_lost |= isinstance(error, torch.AcceleratorError)
        if self._is_device_lost:
            os._exit(1)
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Leave the trial; one that is not at its end saves a checkpoint."""
        if self._course is not None:
            self._course.close()

    def _begin(self, config: dict[str, Any]) -> None:
        identity = TrialIdentity(**config[IDENTITY])
        directory = self._directory.trial(identity)
        now: Clock = time.time if self._timekeeper is None else clock_of(self._timekeeper)
        self._task = TrialTask(self._spec, identity, config[PARAMETERS], directory, now)
        self._gpus: float = config[GPUS]
        self._course = None

    @property
    def _shares_gpu(self) -> bool:
        return self._spec.resources.share_gpus and torch.cuda.is_available()

    def _next_report(self, course: Course) -> dict[str, Any]:
        try:
            epoch = next(course)
        except StopIteration as end:
            return {_DONE: True, COMPLETE: True, **end.value}
        judged = (*self._spec.objectives, *self._spec.constraints_at_rungs)
        metrics = {name: epoch.metrics[name] for name in judged if name in epoch.metrics}
        memory = {MEMORY: asdict(device_memory(_GPU))} if self._shares_gpu else {}
        return {EPOCH: epoch.epoch, **metrics, **memory}


def _failed(failure: Failure) -> dict[str, Any]:
    return {_DONE: True, FAILURE: failure.reason, FAILURE_CLASS: failure.kind}


def _release_device_memory() -> None:
    """Give back what torch keeps for later: another worker may need it before this one does."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's own function
        gc.collect()
        torch.cuda.empty_cache()
