"""The Ray actor that runs trials one after another; one call of `step` is one epoch.

Workers import this module: it must not import Optuna or MLflow.
"""

from __future__ import annotations

import gc
import os
import time
from dataclasses import asdict
from typing import Any

import ray
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
EPOCH, RESULT, COMPLETE, MEMORY = "epoch", "result", "complete", "memory"
FAILURE, FAILURE_CLASS = "failure", "failure_class"
_DONE = "done"

_GPU = torch.device("cuda")


class TrialActor(tune.Trainable):
    """Runs the trial of its configuration and reports its epochs and objectives.

    An exception in a trial is reported as a result with the reason, so that only the death of the
    worker itself is an error to Tune.
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
        """Keep what all trials of the study share; the trial begins with the first step.

        A worker that lacks one of its `needs` runs no trial. `timekeeper` is an actor on the
        driver's host.
        """
        self._timekeeper = timekeeper
        self._spec, self._directory, self._run = spec, directory, run
        self._unfit = check_worker(needs)
        self._is_device_lost = False
        self._begin(config)

    def step(self) -> dict[str, Any]:
        """Run one more epoch, or end the trial."""
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
        """Close the trial and take another.

        An exception while closing is dropped: Tune would take it for a failure of the other trial.
        A worker whose device was lost exits, as every later trial would fail; the other trial is
        resumed by a new worker.
        """
        try:
            self.cleanup()
        except Exception as error:
            # A pruned trial needs no checkpoint, a resumed one has an earlier checkpoint, and a
            # full disk stops the other trial too.
            self._is_device_lost |= isinstance(error, torch.AcceleratorError)
        if self._is_device_lost:
            os._exit(1)
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Close the trial, which saves a checkpoint before its end."""
        if self._course is not None:
            self._course.close()

    def _begin(self, config: dict[str, Any]) -> None:
        identity = TrialIdentity(**config[IDENTITY])
        directory = self._directory.trial(identity)
        now: Clock = time.time if self._timekeeper is None else clock_of(self._timekeeper)
        self._task = TrialTask(
            self._spec, identity, config[PARAMETERS], directory, now, self._assigned_gpus()
        )
        self._gpus: float = config[GPUS]
        self._course = None

    def _assigned_gpus(self) -> tuple[str, ...]:
        if not self._spec.resources.gpus_per_trial:
            return ()
        return tuple(ray.get_runtime_context().get_accelerator_ids()["GPU"])

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
        # an object rather than a mapping, which Tune would flatten
        return {EPOCH: epoch.epoch, RESULT: epoch, **metrics, **memory}


def _failed(failure: Failure) -> dict[str, Any]:
    return {_DONE: True, FAILURE: failure.reason, FAILURE_CLASS: failure.kind}


def _release_device_memory() -> None:
    """Free the memory that torch caches: another worker may need it first."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's own function
        gc.collect()
        torch.cuda.empty_cache()
