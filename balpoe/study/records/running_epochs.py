"""The newest epoch of every running trial, in a file that the driver rewrites for `status`.

It is for display alone: it is not flushed to disk, and a reader ignores it once the driver is gone.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Final, Self

from balpoe.errors import CorruptFile, StorageError
from balpoe.json_record import read_record
from balpoe.study.object_store.study_files import study_files
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import EpochReported, StateChange, StudyEvent
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.training.epoch import EpochResult

FORMAT = 1
_PERIOD_SECONDS: Final = 1.0
_UPLOAD_PERIOD_SECONDS: Final = 10.0
_END_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class RunningEpoch:
    """An epoch of one attempt at a repeat of a trial, which ended at `unix_time`."""

    number: int
    repeat: int
    attempt: int
    epoch: int
    unix_time: float


@dataclass(frozen=True, slots=True)
class _RunningEpochs:
    trials: tuple[RunningEpoch, ...]


class RunningEpochsFile:
    """Writes the file in a thread of its own while a `with` block runs, and deletes it at the end.

    A file that cannot be written or uploaded is left out of date: the study does not depend on it.
    """

    def __init__(self, directory: StudyDirectory) -> None:
        self._path = directory.running_epochs
        self._files = study_files(directory)
        self._epochs: dict[tuple[int, int], RunningEpoch] = {}
        self._changed = threading.Condition()
        self._is_changed = self._is_ended = False
        self._thread = threading.Thread(target=self._run, name="running-epochs", daemon=True)

    def follow(self, event: StudyEvent) -> None:
        """Take an event; return at once."""
        if not isinstance(event, EpochReported | StateChange):
            return
        identity = event.identity
        key = (identity.number, identity.repeat)
        with self._changed:
            if isinstance(event, EpochReported):
                time = event.result.unix_time
                self._epochs[key] = RunningEpoch(*key, identity.attempt, event.epoch, time)
            elif self._epochs.pop(key, None) is None:
                return
            if not self._is_changed:  # a thread that wakes takes the interpreter from Ray Tune
                self._is_changed = True
                self._changed.notify()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_ended = True
            self._changed.notify()
        self._thread.join(_END_SECONDS)
        self._delete()

    def _run(self) -> None:
        self._delete()  # the file of a driver that was killed
        is_remote = self._files.remote is not None
        period = _UPLOAD_PERIOD_SECONDS if is_remote else _PERIOD_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_changed or self._is_ended)
                if self._is_ended:
                    return
                self._is_changed = False
                content = _RunningEpochs(tuple(self._epochs.values()))
            with suppress(OSError, StorageError):
                self._write(json.dumps({"format": FORMAT, **asdict(content)}))
            with self._changed:
                self._changed.wait_for(lambda: self._is_ended, timeout=period)

    def _delete(self) -> None:
        with suppress(OSError, StorageError):
            self._files.delete([self._path])

    def _write(self, text: str) -> None:
        unfinished = self._path.with_name(f".{self._path.name}.tmp")
        unfinished.write_text(text)
        os.replace(unfinished, self._path)
        if self._files.remote is not None:
            self._files.remote.write(self._path.name, text.encode())


def with_running_epochs(
    directory: StudyDirectory, trials: Sequence[TrialRecord]
) -> tuple[TrialRecord, ...]:
    """Return the summaries `trials` of a study that a driver runs, with the newest epochs.

    An epoch that the files of its trial lack follows in the history without metrics.
    """
    epochs = _read(directory)
    return tuple(_with_epoch(trial, epochs.get(trial.identity)) for trial in trials)


def _with_epoch(trial: TrialRecord, newest: RunningEpoch | None) -> TrialRecord:
    last = trial.history[-1].epoch if trial.history else 0
    if newest is None or trial.state != "RUNNING" or newest.epoch <= last:
        return trial
    result = EpochResult(newest.epoch, newest.unix_time, {})
    return replace(trial, history=(*trial.history, result))


def _read(directory: StudyDirectory) -> Mapping[TrialIdentity, RunningEpoch]:
    """Return the newest epoch of every running trial; none where there is no readable file."""
    try:
        found = read_record(
            directory.running_epochs, _RunningEpochs, "start the study again", formats=(FORMAT,)
        )
    except CorruptFile:
        return {}
    study = directory.path.name
    return {
        TrialIdentity(study, each.number, each.repeat, each.attempt): each for each in found.trials
    }
