"""The repeats of trials with further seeds: true in their files, as Optuna holds repeat 0 only.

A repeat is complete once its result is there. Until then, and where it failed, a small file
beside its checkpoints says how it stands.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from balpoe.atomic_write import write_text_atomically
from balpoe.config import Choice, StudySpec
from balpoe.errors import CorruptFile
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure, FailureClass
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.study.trials.result_file import TrialResult, read_result, read_result_alone
from balpoe.training.epoch import EpochResult


@dataclass(frozen=True, slots=True)
class RepeatState:
    """How a repeat stands that has no result.

    `alone`, `deaths` and `death_epoch` are what the ledger keeps of a trial; `failure` is
    there once it has failed. Times in Unix seconds.
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


class RepeatLedger:
    """The repeats of the study `spec` in `directory`.

    Its methods raise `StorageError` where a file cannot be written and `CorruptFile` where
    one is damaged.
    """

    def __init__(self, spec: StudySpec, directory: StudyDirectory) -> None:
        self._study = spec.name
        self._directory = directory

    def take_up(self, identity: TrialIdentity, parameters: Mapping[str, Choice]) -> RepeatState:
        """Begin a repeat, or begin it once more."""
        before = self._state(identity)
        if before is None:
            state = RepeatState(dict(parameters), started=time.time())
        else:
            state = replace(before, attempt=before.attempt + 1)
        self._write(identity, state)
        return state

    def is_set_apart(self, identity: TrialIdentity) -> bool:
        """Whether a repeat is to run alone."""
        state = self._state(identity)
        return state is not None and state.alone

    def set_apart(self, identity: TrialIdentity) -> None:
        """Have a repeat taken up again while nothing else runs."""
        self._write(identity, replace(self._begun(identity), alone=True))

    def count_death(self, identity: TrialIdentity, epoch: int) -> int:
        """How often the worker of a repeat has died without progress, this time included."""
        state = self._begun(identity)
        deaths = 1 if epoch > state.death_epoch else state.deaths + 1
        last = max(epoch, state.death_epoch)
        self._write(identity, replace(state, deaths=deaths, death_epoch=last))
        return deaths

    def fail(self, identity: TrialIdentity, failure: Failure) -> None:
        """End a repeat as failed."""
        state = self._begun(identity)
        self._write(
            identity,
            replace(state, failure=failure.reason, failure_class=failure.kind, ended=time.time()),
        )

    def records(self, number: int) -> tuple[TrialRecord, ...]:
        """The repeats of a trial that were begun, whether the study still asks for them or not."""
        return tuple(self.record(identity) for identity in self._found(number))

    def record(self, identity: TrialIdentity) -> TrialRecord:
        """The record of a repeat that was begun."""
        directory = self._directory.trial(identity)
        result = read_result(directory) if directory.result.exists() else None
        history = read_metrics(directory.metrics) if directory.metrics.exists() else ()
        return self._record(identity, result, history)

    def outlines(self, number: int) -> tuple[TrialRecord, ...]:
        """As `records`, from the results alone: only RUNNING repeats have a history."""
        return tuple(self._outline(identity) for identity in self._found(number))

    def _outline(self, identity: TrialIdentity) -> TrialRecord:
        directory = self._directory.trial(identity)
        result = read_result_alone(directory) if directory.result.exists() else None
        outline = self._record(identity, result, ())
        if outline.state != "RUNNING" or not directory.metrics.exists():
            return outline
        return replace(outline, history=read_metrics(directory.metrics))

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

    def _begun(self, identity: TrialIdentity) -> RepeatState:
        state = self._state(identity)
        if state is None:
            path = self._directory.trial(identity).state
            raise CorruptFile(f"{path}: is missing; delete its directory to train the repeat anew")
        return state

    def _state(self, identity: TrialIdentity) -> RepeatState | None:
        path = self._directory.trial(identity).state
        if not path.exists():
            return None
        try:
            return RepeatState(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise CorruptFile(
                f"{path}: damaged: {error}; delete its directory to train the repeat anew"
            ) from error

    def _write(self, identity: TrialIdentity, state: RepeatState) -> None:
        directory = self._directory.trial(identity)
        directory.create()
        text = json.dumps(asdict(state), indent=2, allow_nan=False) + "\n"
        write_text_atomically(directory.state, text)
