"""The Ray actor that runs trials one after another; one call of `step` is one epoch.

Workers import this module: it must not lead to Optuna or MLflow.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import Any

from ray import tune

from balpoe.atomic_write import write_text_atomically
from balpoe.config import StudySpec
from balpoe.errors import StorageError, UserError
from balpoe.study.directory import StudyDirectory
from balpoe.study.record import TrialIdentity
from balpoe.study.trial import Course, RunTrial, TrialTask

IDENTITY, PARAMETERS = "identity", "parameters"
EPOCH, COMPLETE, FAILURE = "epoch", "complete", "failure"
_DONE = "done"


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
    ) -> None:
        """Keep what all trials of the study share. Nothing is begun before the first step."""
        self._spec, self._directory, self._run = spec, directory, run
        self._begin(config)

    def step(self) -> dict[str, Any]:
        """One more epoch, or the end of the trial."""
        try:
            if self._course is None:
                self._course = self._run(self._task)
            return self._next_report(self._course)
        except Exception as error:
            self._keep_traceback()
            return {_DONE: True, FAILURE: _reason(error)}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Leave the trial and take another."""
        self.cleanup()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        """Leave the trial; one that is not at its end saves a checkpoint."""
        if self._course is not None:
            self._course.close()

    def _begin(self, config: dict[str, Any]) -> None:
        identity = TrialIdentity(**config[IDENTITY])
        directory = self._directory.trial(identity)
        self._task = TrialTask(self._spec, identity, config[PARAMETERS], directory)
        self._course = None

    def _next_report(self, course: Course) -> dict[str, Any]:
        try:
            epoch = next(course)
        except StopIteration as end:
            return {_DONE: True, COMPLETE: True, **end.value}
        objectives = {
            name: epoch.metrics[name] for name in self._spec.objectives if name in epoch.metrics
        }
        return {EPOCH: epoch.epoch, **objectives}

    def _keep_traceback(self) -> None:
        with suppress(StorageError):
            self._task.directory.create()
            write_text_atomically(self._task.directory.failure, traceback.format_exc())


def _reason(error: Exception) -> str:
    """The failure in a sentence: ours say all themselves, others need their type."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
