"""The repeats of trials with further seeds, whose state is in files: Optuna holds repeat 0 only.

A repeat is COMPLETE once its result file exists. Until then, and where it failed, a JSON file
beside its checkpoints holds its state.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from balpoe.atomic_write import write_text_atomically
from balpoe.config import Choice, StudySpec
from balpoe.errors import CorruptFile
from balpoe.json_record import read_record
from balpoe.study.trials.attempts_file import read_attempts
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure, FailureClass
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialToRun
from balpoe.study.trials.result_file import TrialResult, read_result, read_result_alone
from balpoe.study.trials.retries import RetryState
from balpoe.training.epoch import EpochResult


@dataclass(frozen=True, slots=True)
class _StateFile:
    """The content of a state file.

    `failure` is set once the repeat has failed. Times are in Unix seconds.
    """

    parameters: Mapping[str, Choice]
    started: float
    attempt: int = 0
    alone: bool = False
    deaths: int = 0
    death_epoch: int = 0
    failure: str | None = None
    failure_class: FailureClass | None = None
    ended: float | None = None

    @property
    def retries(self) -> RetryState:
        return RetryState(self.attempt, self.alone, self.deaths, self.death_epoch)

    def with_retries(self, state: RetryState) -> _StateFile:
        return replace(
            self,
            attempt=state.attempt,
            alone=state.exclusive,
            deaths=state.deaths,
            death_epoch=state.death_epoch,
        )


class RepeatStates:
    """The repeats of the study `spec` in `directory`.

    Its methods raise `StorageError` where a file cannot be written and `CorruptFile` where a file
    is damaged.
    """

    def __init__(self, spec: StudySpec, directory: StudyDirectory) -> None:
        self._study = spec.name
        self._directory = directory
        self._completed: dict[tuple[int, int], Mapping[str, float]] = {}

    def resume(self, identity: TrialIdentity, parameters: Mapping[str, Choice]) -> TrialToRun:
        """Begin a repeat, or one more attempt at it."""
        before = self._read(identity)
        if before is None:
            state = _StateFile(dict(parameters), started=time.time())
        else:
            state = before.with_retries(before.retries.next_attempt())
        self._write(identity, state)
        return TrialToRun(replace(identity, attempt=state.attempt), parameters, state.retries)

    def retries(self, identity: TrialIdentity) -> RetryState:
        """Return the attempts at a repeat so far."""
        state = self._read(identity)
        return RetryState() if state is None else state.retries

    def write_retries(self, identity: TrialIdentity, state: RetryState) -> None:
        """Write the attempts at a repeat so far."""
        self._write(identity, self._begun(identity).with_retries(state))

    def complete(self, identity: TrialIdentity, objectives: Mapping[str, float]) -> None:
        """Keep the objectives of a repeat until its result file is seen on a shared file system."""
        self._completed[identity.number, identity.repeat] = objectives

    def fail(self, identity: TrialIdentity, failure: Failure) -> None:
        """End a repeat as failed."""
        state = replace(
            self._begun(identity),
            failure=failure.reason,
            failure_class=failure.kind,
            ended=time.time(),
        )
        self._write(identity, state)

    def records(self, number: int) -> tuple[TrialRecord, ...]:
        """Return the repeats of a trial that were begun, whether the study still asks for them."""
        return tuple(self.record(identity) for identity in self._found(number))

    def record(self, identity: TrialIdentity) -> TrialRecord:
        """Return the record of a repeat that was begun."""
        directory = self._directory.trial(identity)
        result = read_result(directory) if directory.result.exists() else None
        history = read_metrics(directory.metrics) if directory.metrics.exists() else ()
        record = self._record(identity, result, history)
        return replace(record, attempts=read_attempts(directory))

    def summaries(self, number: int) -> tuple[TrialRecord, ...]:
        """Return the records of a trial's repeats; only RUNNING ones have a history.

        The files of COMPLETE repeats other than their results are not read.
        """
        return tuple(self._summary(identity) for identity in self._found(number))

    def _summary(self, identity: TrialIdentity) -> TrialRecord:
        directory = self._directory.trial(identity)
        result = read_result_alone(directory) if directory.result.exists() else None
        summary = self._record(identity, result, ())
        if summary.state == "RUNNING" and directory.metrics.exists():
            summary = replace(summary, history=read_metrics(directory.metrics))
        completed = self._completed.get((identity.number, identity.repeat))
        if completed is not None:
            return replace(summary, state="COMPLETE", objectives=completed)
        return summary

    def _found(self, number: int) -> Iterator[TrialIdentity]:
        further = (repeat for repeat in self._directory.repeats(number) if repeat)
        return (TrialIdentity(self._study, number, repeat) for repeat in further)

    def _record(
        self,
        identity: TrialIdentity,
        result: TrialResult | None,
        history: tuple[EpochResult, ...],
    ) -> TrialRecord:
        state = self._begun(identity)
        failed = result is None and state.failure is not None
        ended = result.ended if result else state.ended
        return TrialRecord(
            identity=replace(identity, attempt=state.attempt),
            parameters=state.parameters,
            state="COMPLETE" if result else "FAIL" if failed else "RUNNING",
            history=history,
            objectives=result.objectives if result else None,
            failure=state.failure if failed else None,
            failure_class=state.failure_class if failed else None,
            data_fingerprint=result.data_fingerprint if result else None,
            started=state.started,
            ended=None if ended is None else max(state.started, ended),
        )

    def _begun(self, identity: TrialIdentity) -> _StateFile:
        state = self._read(identity)
        if state is None:
            path = self._directory.trial(identity).state
            raise CorruptFile(f"{path}: is missing; delete its directory to train the repeat anew")
        return state

    def _read(self, identity: TrialIdentity) -> _StateFile | None:
        path = self._directory.trial(identity).state
        if not path.exists():
            return None
        return read_record(path, _StateFile, "delete its directory to train the repeat anew")

    def _write(self, identity: TrialIdentity, state: _StateFile) -> None:
        directory = self._directory.trial(identity)
        directory.create()
        text = json.dumps(asdict(state), indent=2, allow_nan=False) + "\n"
        write_text_atomically(directory.state, text)
