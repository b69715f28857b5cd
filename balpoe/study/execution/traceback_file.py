"""The traceback of what ended a trial, kept with its files."""

from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import dataclass

from balpoe.atomic_write import write_text_atomically
from balpoe.errors import StorageError
from balpoe.study.execution.trial import Course, RunTrial, TrialTask
from balpoe.study.trials.newest_attempt import is_newest


@dataclass(frozen=True, slots=True)
class KeepingTraceback:
    """Runs trials by `run`; what a trial raises is written down before it goes on its way."""

    run: RunTrial

    def __call__(self, task: TrialTask) -> Course:
        """As `run` does."""
        try:
            return (yield from self.run(task))
        except Exception:
            _keep_traceback(task)
            raise


def _keep_traceback(task: TrialTask) -> None:
    with suppress(StorageError):
        if is_newest(task.directory, task.identity.attempt):
            task.directory.create()
            write_text_atomically(task.directory.failure, traceback.format_exc())
