"""What running trials report: recorded in the study, then sent to its listener as events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from balpoe.config import StudySpec
from balpoe.errors import NonFiniteError, StorageError, UserError
from balpoe.study.execution.interruption import Interruption
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.search.pruning import EarlyStopping, StoppedAt
from balpoe.study.trials.events import (
    AttemptEnded,
    EpochReported,
    Listener,
    TrialEnded,
    TrialStarted,
)
from balpoe.study.trials.failures import Failure, FirstTrials, failure_of
from balpoe.study.trials.objectives import finite_objectives
from balpoe.study.trials.record import TrialIdentity, TrialToRun
from balpoe.study.trials.retries import next_step
from balpoe.training.epoch import EpochResult


@dataclass(slots=True)
class RunningTrial:
    """A trial that a worker runs.

    `epoch` is the last epoch that it reported (0: none), `evaluated` the last one with objectives,
    `pruned_with` the result with which it is pruned, at a rung or at the request of a user.
    """

    trial: TrialToRun
    epoch: int = 0
    evaluated: StoppedAt | None = None
    pruned_with: StoppedAt | None = None


class TrialRecorder:
    """Records the ends of trials and sends events to `listener`, each after its end is recorded.

    `finished` counts the trials that have ended, without repeats. `failing_alike` is set, and the
    study stopped, once the first trials have all failed alike.
    """

    def __init__(
        self,
        spec: StudySpec,
        trials: StudyTrials,
        listener: Listener,
        interruption: Interruption,
        early_stopping: EarlyStopping | None,
    ) -> None:
        self._spec = spec
        self._trials = trials
        self._listener = listener
        self._interruption = interruption
        self._early_stopping = early_stopping
        self._first_trials = FirstTrials(spec.resources.concurrent_trials)
        self._stopped: set[int] = set()
        self.finished = trials.finished()
        self.failing_alike: Failure | None = None

    def start(self, trial: TrialToRun) -> None:
        """Send the start of an attempt at a trial."""
        self._listener(TrialStarted(trial.identity, trial.parameters))

    def report(self, running: RunningTrial, result: EpochResult) -> None:
        """Send an epoch of a trial."""
        running.epoch, metrics = result.epoch, result.metrics
        objectives = {name: metrics[name] for name in self._spec.objectives if name in metrics}
        running.evaluated = self._evaluated(result.epoch, metrics) or running.evaluated
        self._listener(EpochReported(running.trial.identity, result.epoch, objectives, result))

    def is_pruned(self, running: RunningTrial, epoch: int, metrics: Mapping[str, object]) -> bool:
        """Return whether a trial is pruned after `epoch`; repeats never are."""
        trial = running.trial
        if trial.identity.repeat:
            return False
        number = trial.identity.number
        if self._early_stopping is not None:
            running.pruned_with = self._early_stopping.judge(
                number, trial.parameters, epoch, metrics
            )
        if number in self._stopped:
            last = self._evaluated(epoch, metrics) or running.evaluated
            running.pruned_with = last or self._stored(trial.identity, epoch)
        return running.pruned_with is not None

    def prune_unfinished(self, identity: TrialIdentity) -> bool:
        """Prune a trial whose driver died before it recorded that; return whether it did."""
        if self._early_stopping is None or identity.repeat:
            return False
        result = self._early_stopping.judge_unfinished(identity.number)
        if result is not None:
            self.prune(identity, result)
        return result is not None

    def stop(self, identity: TrialIdentity) -> None:
        """Have a trial end as pruned after the running epoch, of this attempt or a later one."""
        self._stopped.add(identity.number)

    def _evaluated(self, epoch: int, metrics: Mapping[str, object]) -> StoppedAt | None:
        """Return the objectives of an epoch; None if one is missing or not finite."""
        try:
            return StoppedAt(epoch, finite_objectives(metrics, self._spec.objectives))
        except NonFiniteError:
            return None

    def _stored(self, identity: TrialIdentity, epoch: int) -> StoppedAt:
        """Return the last objectives of earlier attempts; without any, `epoch` alone."""
        stored = reversed(self._trials.stored_history(identity))
        found = (self._evaluated(each.epoch, each.metrics) for each in stored)
        return next(filter(None, found), StoppedAt(epoch, {}))

    def prune(self, identity: TrialIdentity, result: StoppedAt) -> None:
        """Record a trial as pruned with `result`."""
        self._trials.prune(identity, result.epoch, result.objectives)
        self.finished += 1
        self._first_trials.succeeded()
        self._listener(TrialEnded(identity, "PRUNED"))

    def interrupt(self, running: RunningTrial) -> None:
        """Send the end of an attempt that was stopped with the study."""
        self._listener(AttemptEnded(running.trial.identity))

    def complete(self, running: RunningTrial, metrics: Mapping[str, object]) -> None:
        """Record a trial as COMPLETE, or as failed where a value is missing or not finite."""
        identity = running.trial.identity
        try:
            objectives = finite_objectives(metrics, self._spec.objectives)
            violations = self._trials.complete(identity, objectives)
        except NonFiniteError as error:
            self._fail(identity, failure_of(error))
            return
        self.finished += identity.repeat == 0
        self._first_trials.succeeded()
        self._listener(TrialEnded(identity, "COMPLETE", objectives, violations=violations))

    def fail(self, running: RunningTrial, failure: Failure) -> bool:
        """Record a failed attempt and return whether the trial is to be retried.

        Raises:
            StorageError: the trial's files cannot be written; the trial stays unfinished.
            UserError: the trial's node is unfit; the trial stays unfinished.
        """
        identity, before = running.trial.identity, running.trial.retries
        step, after = next_step(failure.kind, before, running.epoch)
        if after != before:
            self._trials.write_retries(identity, after)
        if step == "fail":
            if failure.kind == "infrastructure":
                times = f"{after.deaths} times without progress"
                failure = replace(failure, reason=f"{failure.reason} ({times})")
            self._fail(identity, failure)
        else:
            self._listener(AttemptEnded(identity, failure.reason, failure.kind))
        if step == "stop":
            stopping = StorageError if failure.kind == "storage" else UserError
            raise stopping(failure.reason)
        return step == "retry"

    def _fail(self, identity: TrialIdentity, failure: Failure) -> None:
        self._trials.fail(identity, failure)
        self.finished += identity.repeat == 0
        self._listener(TrialEnded(identity, "FAIL", None, failure.reason, failure.kind))
        if identity.repeat == 0 and self._first_trials.all_fail_alike(failure):
            self.failing_alike = failure
            self._interruption.request()
