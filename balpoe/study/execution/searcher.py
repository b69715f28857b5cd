"""The searcher by which Tune asks for trials and reports what became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TypeVar

from ray.tune.search import Searcher

from balpoe.study.execution.gpu_memory import GpuMemory
from balpoe.study.execution.interruption import Interruption
from balpoe.study.execution.steering import Steering
from balpoe.study.execution.trial_actor import (
    COMPLETE,
    EPOCH,
    FAILURE,
    FAILURE_CLASS,
    GPUS,
    IDENTITY,
    MEMORY,
    PARAMETERS,
    RESULT,
)
from balpoe.study.execution.trial_queue import TrialQueue
from balpoe.study.execution.trial_recorder import RunningTrial, TrialRecorder
from balpoe.study.search.spent_budget import Account
from balpoe.study.trials.events import Listener, StopRequested
from balpoe.study.trials.failures import Failure

Answer = TypeVar("Answer")


class StudySearcher(Searcher):
    """Gives the trials of `queue` to Tune and their results to `recorder`.

    Tune takes an exception raised in a searcher for the failure of a trial. Therefore the first
    exception is kept in `fault`, the study stops, and nothing more is recorded.
    """

    def __init__(
        self,
        queue: TrialQueue,
        recorder: TrialRecorder,
        listener: Listener,
        interruption: Interruption,
        account: Account,
        memory: GpuMemory,
        steering: Steering,
    ) -> None:
        super().__init__()
        self._steering = steering
        self._queue = queue
        self._recorder = recorder
        self._listener = listener
        self._interruption = interruption
        self._account = account
        self._memory = memory
        self._running: dict[str, RunningTrial] = {}
        self.fault: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Return the next trial as Tune's configuration.

        None while there may be one later, FINISHED (a string: Tune's type lacks it) after that.
        """
        configuration = self._guarded(self._start, trial_id)
        return configuration or (None if self._running else str(Searcher.FINISHED))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass an epoch on."""
        self._guarded(self._report, self._running[trial_id], result)

    def is_pruned(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Return whether a trial is pruned after the epoch that it reports."""
        if EPOCH not in result:
            return False
        running, epoch = self._running[trial_id], int(result[EPOCH])
        return bool(self._guarded(self._recorder.is_pruned, running, epoch, result))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass the end of a trial on; that of a dead worker comes by `on_death`, with a reason."""
        if not error:
            self._guarded(self._end, self._ended(trial_id), result or {})

    def on_death(self, trial_id: str, failure: Failure) -> None:
        """Pass the failure of a trial on whose worker died."""
        self._guarded(self._fail, self._ended(trial_id), failure)

    def poll_requests(self) -> None:
        """Execute requests of users."""
        self._guarded(self._steering.poll, self._running.values())

    def announce_stop(self) -> None:
        """Tell the listener that the study stops, and why if the user did not ask for it."""
        if self._interruption.signal is None and not self._running:
            return  # the end follows at once
        if self.fault is None:
            failure = self._recorder.failing_alike
            reason = None if failure is None else failure.reason
            self._guarded(self._listener, StopRequested(reason))
        else:
            with suppress(Exception):  # the fault may be the listener's own
                self._listener(StopRequested(str(self.fault)))

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Save nothing: the ledger holds the state, and Tune's runs are never restored."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its searcher for a restoration that is never done."""
        return {}

    def _start(self, trial_id: str) -> dict[str, Any] | None:
        if self._interruption.requested:
            return None
        trial = self._queue.next(self._running.values())
        if trial is None:
            return None
        gpus = self._memory.gpus(trial.parameters, exclusive=trial.retries.exclusive)
        self._recorder.start(trial)
        # last: Tune never reports the end of a trial that it was not given
        self._account.begin(trial_id)
        self._running[trial_id] = RunningTrial(trial)
        return {
            IDENTITY: asdict(trial.identity),
            PARAMETERS: dict(trial.parameters),
            GPUS: gpus,
        }

    def _ended(self, trial_id: str) -> RunningTrial:
        self._account.end(trial_id)
        return self._running.pop(trial_id)

    def _report(self, running: RunningTrial, result: Mapping[str, Any]) -> None:
        if MEMORY in result:
            self._memory.record(running.trial.parameters, result[MEMORY])
        self._recorder.report(running, result[RESULT])

    def _end(self, running: RunningTrial, result: Mapping[str, Any]) -> None:
        if FAILURE in result:
            self._fail(running, Failure(result[FAILURE_CLASS], result[FAILURE]))
        elif COMPLETE in result:
            self._recorder.complete(running, result)
        elif running.pruned_with is not None:
            self._report(running, result)  # Tune passes only epochs on after which a trial runs on
            self._recorder.prune(running.trial.identity, running.pruned_with)
        else:
            self._recorder.interrupt(running)

    def _fail(self, running: RunningTrial, failure: Failure) -> None:
        if self._recorder.fail(running, failure):
            self._queue.retry(running.trial.identity)

    def _guarded(self, act: Callable[..., Answer], *arguments: object) -> Answer | None:
        """Return what `act` returns; None, and the study stops, if it raises or has raised."""
        if self.fault is not None:
            return None
        try:
            return act(*arguments)
        except Exception as fault:
            self.fault = fault
            self._interruption.request()
            return None
