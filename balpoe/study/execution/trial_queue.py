"""The order in which the trials of a launch run.

Unfinished trials of earlier launches come first, then new ones until the budget is spent, then the
seeds of the race. A trial to be retried is queued behind the unfinished ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from balpoe.config import StudySpec
from balpoe.study.execution.trial_recorder import RunningTrial, TrialRecorder
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.search.spent_budget import Account, budget_spent, hours_spent
from balpoe.study.selection.race import SeedToTrain
from balpoe.study.trials.record import TrialIdentity, TrialToRun


class TrialQueue:
    """The trials of the study `spec` that are still to run, within the budget of `account`."""

    def __init__(
        self, spec: StudySpec, trials: StudyTrials, recorder: TrialRecorder, account: Account
    ) -> None:
        self._spec = spec
        self._trials = trials
        self._recorder = recorder
        self._account = account
        self._unfinished = deque(trials.unfinished())
        self._round: deque[SeedToTrain] = deque()

    def retry(self, identity: TrialIdentity) -> None:
        """Queue a trial once more."""
        self._unfinished.append(identity)

    def next(self, running: Collection[RunningTrial]) -> TrialToRun | None:
        """Return the trial to run beside those `running`, or None if there is none now."""
        if any(each.trial.retries.exclusive for each in running):
            return None
        while self._unfinished:
            if running and self._trials.is_exclusive(self._unfinished[0]):
                return None
            identity = self._unfinished.popleft()
            if not self._recorder.prune_unfinished(identity):
                return self._trials.resume(identity)
        spent = self._account.spent(self._recorder.finished + len(running))
        if not budget_spent(self._spec.budget, spent) and not self._trials.is_exhausted():
            return self._trials.ask()
        return self._next_of_race(running, hours_spent(self._spec.budget, spent))

    def _next_of_race(
        self, running: Collection[RunningTrial], hours_spent: bool
    ) -> TrialToRun | None:
        """Return the next seed; a round begins once all trials and the round before have ended."""
        if not self._round and not running:
            self._round.extend(self._trials.seeds_to_train())
        while self._round:
            seed = self._round.popleft()
            if seed.granted or not hours_spent:
                self.retry(TrialIdentity(self._spec.name, seed.number, seed.repeat))
                return self.next(running)
        return None
