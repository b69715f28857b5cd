"""Executes the requests that reach the driver of a study while it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from balpoe.config import Choice, StudySpec
from balpoe.config.known_points import known_points
from balpoe.errors import CorruptFile
from balpoe.study.execution.trial_recorder import RunningTrial, TrialRecorder
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.search.spent_budget import Account, budget_spent
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.launch_log import log_request
from balpoe.study.trials.requests import (
    Answer,
    PendingRequest,
    Request,
    delete_old_answers,
    pending_requests,
)

_PERIOD_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


class Steering:
    """Looks for requests in `directory` and executes them, each once.

    `number` is that of the launch, in whose log the requests are written. The request to stop a
    trial stays until the trial has ended, so that the next launch stops it if this one is killed.
    """

    def __init__(
        self,
        spec: StudySpec,
        directory: StudyDirectory,
        trials: StudyTrials,
        recorder: TrialRecorder,
        account: Account,
        number: int,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._directory = directory
        self._trials = trials
        self._recorder = recorder
        self._account = account
        self._number = number
        self._now = now
        self._next = 0.0
        self._stopping: dict[str, PendingRequest] = {}
        self._damaged: set[str] = set()
        delete_old_answers(directory.requests)

    def poll(self, running: Collection[RunningTrial]) -> None:
        """Execute the requests, at most about once a second; `running` are the running trials.

        Raises:
            StorageError: an answer, the log or the storage cannot be written.
        """
        if self._now() < self._next:
            return
        self._next = self._now() + _PERIOD_SECONDS
        for found in pending_requests(self._directory.requests):
            if isinstance(found, CorruptFile):
                self._warn(str(found))
            elif found.name not in self._stopping:
                self._execute(found, running)
        if self._stopping:  # a trial whose worker died is unfinished, although it does not run
            self.finish()

    def finish(self) -> None:
        """Delete the requests to stop trials that have ended; called at the end of the launch."""
        numbers = {identity.number for identity in self._trials.unfinished()}
        for name, pending in [*self._stopping.items()]:
            if pending.request.trial not in numbers:
                pending.delete()
                del self._stopping[name]

    def _warn(self, message: str) -> None:
        """Log a damaged request once, not at every look."""
        if message not in self._damaged:
            self._damaged.add(message)
            logger.warning("%s", message)

    def _execute(self, pending: PendingRequest, running: Collection[RunningTrial]) -> None:
        is_stop = pending.request.kind == "stop trial"
        answer = self._stop(pending.request, running) if is_stop else self._try(pending, running)
        if answer is None:
            return
        log_request(self._directory.launches, self._number, pending.request, answer)
        pending.answer(answer)
        if is_stop and not answer.refused:
            self._stopping[pending.name] = pending
        else:
            pending.delete()

    def _stop(self, request: Request, running: Collection[RunningTrial]) -> Answer | None:
        """Return the answer, or None while the trial waits to be resumed."""
        number = request.trial
        of_number = [each for each in running if each.trial.identity.number == number]
        search = [each for each in of_number if each.trial.identity.repeat == 0]
        if search:
            self._recorder.stop(search[0].trial.identity)
            return Answer(False, f"trial {number} ends as pruned after its running epoch")
        if of_number:
            repeat = of_number[0].trial.identity.repeat
            return Answer(True, f"trial {number} is complete; its further seed {repeat} is running")
        states = {
            record.identity.number: record.state
            for record in self._trials.summaries()
            if record.identity.repeat == 0
        }
        if number not in states:
            is_waiting = number in self._trials.waiting()
            waits = f"trial {number} waits to be started"
            return Answer(True, waits if is_waiting else f"there is no trial {number}")
        if states[number] == "RUNNING":
            return None
        return Answer(True, f"trial {number} has ended as {states[number]}")

    def _try(self, pending: PendingRequest, running: Collection[RunningTrial]) -> Answer:
        searched = sum(each.trial.identity.repeat == 0 for each in running)
        waiting = len(self._trials.waiting())
        spent = self._account.spent(self._recorder.finished + searched + waiting)
        if budget_spent(self._spec.budget, spent):
            return Answer(
                True, "the budget of the study has no trial left: raise it in the study file"
            )
        given = {"": dict(pending.request.point or {})}
        found = known_points(given, self._spec.search, self._spec.base, self._spec.sampler)
        if not found.points:
            return Answer(True, found.left_out[""])
        [point] = found.points
        self._trials.enqueue(point, pending.name)
        values = ", ".join(f"{path} {value}" for path, value in point.parameters.items())
        outside = f"; outside the search space: {', '.join(point.outside)}" if point.outside else ""
        equal = self._equal_trial(point.parameters)
        again = "" if equal is None else f"; trial {equal} has the same parameters"
        return Answer(False, f"the next new trial has {values}{outside}{again}")

    def _equal_trial(self, parameters: Mapping[str, Choice]) -> int | None:
        trials = self._trials.summaries()
        found = (each for each in trials if dict(each.parameters) == dict(parameters))
        return next((each.identity.number for each in found), None)
