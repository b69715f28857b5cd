"""What Tune asks for trials, and tells their ends: the bridge to the ledger.

Orphans (trials that an earlier launch left RUNNING) come first, then new proposals, until the
budget is spent, and at last the rounds of the race for further seeds. A trial that failed for a
reason that may not come again goes behind the orphans; one that falls behind others is stopped
early. Every trial ends once in the ledger, before anyone hears of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from ray.tune.search import Searcher

from balpoe.config import StudySpec
from balpoe.errors import NonFiniteError, StorageError, UserError
from balpoe.study.execution.gpu_memory import GpuMemory
from balpoe.study.execution.interruption import Interruption
from balpoe.study.execution.trial_actor import (
    COMPLETE,
    EPOCH,
    FAILURE,
    FAILURE_CLASS,
    GPUS,
    IDENTITY,
    MEMORY,
    PARAMETERS,
)
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.search.early_stopping import EarlyStopping, RungResult
from balpoe.study.search.spent_budget import Account, budget_spent, hours_spent
from balpoe.study.selection.race import SeedToTrain
from balpoe.study.trials.events import (
    AttemptEnded,
    EpochReported,
    Listener,
    StopRequested,
    TrialEnded,
    TrialStarted,
)
from balpoe.study.trials.failures import Failure, FailureClass, Opening, failure_of
from balpoe.study.trials.objectives import finite_objectives
from balpoe.study.trials.record import TrialIdentity, TrialToRun
from balpoe.study.trials.retries import next_step

Answer = TypeVar("Answer")

_STOPPING: Mapping[FailureClass, type[UserError]] = {"storage": StorageError, "unfit": UserError}


@dataclass(slots=True)
class LiveTrial:
    """A trial that Tune has.

    `epoch` is the last that it reported, 0 for none; `fallen_behind` with what it is stopped.
    """

    trial: TrialToRun
    epoch: int = 0
    fallen_behind: RungResult | None = None


class StudySearcher(Searcher):
    """Hands the trials of `book` to Tune until the budget of `spec` is spent, then the race.

    Tune would take an exception raised in here for the failure of a trial; so the first one
    is kept in `fault`, the study stops, and nothing more is entered in the book. It also stops
    when its first trials all fail alike; `failing_alike` says how.
    """

    def __init__(
        self,
        spec: StudySpec,
        trials: StudyTrials,
        listener: Listener,
        interruption: Interruption,
        account: Account,
        memory: GpuMemory,
        early_stopping: EarlyStopping | None = None,
    ) -> None:
        super().__init__()
        self._memory = memory
        self._account = account
        self._early_stopping = early_stopping
        self._spec = spec
        self._trials = trials
        self._listener = listener
        self._interruption = interruption
        self._unfinished = deque(trials.unfinished())
        self._finished = trials.finished()
        self._round: deque[SeedToTrain] = deque()
        self._live: dict[str, LiveTrial] = {}
        self._opening = Opening(spec.resources.concurrent_trials)
        self.fault: Exception | None = None
        self.failing_alike: Failure | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The next trial as Tune's configuration.

        None while there may be one later, FINISHED (a string: Tune's type lacks it) after that.
        """
        proposed = self._guarded(self._next_trial, trial_id)
        return proposed or (None if self._live else str(Searcher.FINISHED))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass an epoch on."""
        self._guarded(self._report, self._live[trial_id], result)

    def stops_early(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Whether a trial ends with the epoch that it reports: it has fallen behind."""
        return bool(self._guarded(self._falls_behind, self._live[trial_id], result))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Enter the end of a trial; that of a dead worker comes with its reason by `on_death`."""
        if not error:
            self._guarded(self._enter_end, self._left(trial_id), result or {})

    def on_death(self, trial_id: str, failure: Failure) -> None:
        """Enter the end of a trial, or of an attempt at it, whose worker died."""
        self._guarded(self._enter_failure, self._left(trial_id), failure)

    def announce_stop(self) -> None:
        """Tell the listener that the study stops, and why if it was not asked to."""
        if self._interruption.signal is None and not self._live:
            return  # the end follows at once
        if self.fault is None:
            reason = None if self.failing_alike is None else self.failing_alike.reason
            self._guarded(self._listener, StopRequested(reason))
        else:
            with suppress(Exception):  # the fault may be the listener's own
                self._listener(StopRequested(str(self.fault)))

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the truth is in the ledger, and Tune's runs are never restored."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher for a restoration that is never done."""
        return {}

    def _next_trial(self, trial_id: str) -> dict[str, Any] | None:
        taken = None if self._interruption.requested else self._next_taken()
        if taken is None:
            return None
        gpus = self._memory.gpus(taken.parameters, alone=taken.retries.exclusive)
        self._listener(TrialStarted(taken.identity, taken.parameters))
        # only now: of a trial that Tune is not given it would never tell the end
        self._account.begin(trial_id)
        self._live[trial_id] = LiveTrial(taken)
        return {
            IDENTITY: asdict(taken.identity),
            PARAMETERS: dict(taken.parameters),
            GPUS: gpus,
        }

    def _next_taken(self) -> TrialToRun | None:
        if any(live.trial.retries.exclusive for live in self._live.values()):
            return None
        while self._unfinished:
            if self._live and self._trials.is_exclusive(self._unfinished[0]):
                return None
            identity = self._unfinished.popleft()
            fallen_behind = self._fallen_behind_before(identity)
            if fallen_behind is None:
                return self._trials.resume(identity)
            self._prune(identity, fallen_behind)
        spent = self._account.spent(self._finished + len(self._live))
        if not budget_spent(self._spec.budget, spent) and not self._trials.is_exhausted():
            return self._trials.ask()
        return self._next_of_race(hours_spent(self._spec.budget, spent))

    def _next_of_race(self, hours_spent: bool) -> TrialToRun | None:
        """The next seed; a round begins when all trials, or those of the round before, ended."""
        if not self._round and not self._live:
            self._round.extend(self._trials.seeds_to_train())
        while self._round:
            seed = self._round.popleft()
            if seed.granted or not hours_spent:
                self._unfinished.append(TrialIdentity(self._spec.name, seed.number, seed.repeat))
                return self._next_taken()
        return None

    def _left(self, trial_id: str) -> LiveTrial:
        """A trial that Tune has no more."""
        self._account.end(trial_id)
        return self._live.pop(trial_id)

    def _report(self, live: LiveTrial, result: Mapping[str, Any]) -> None:
        live.epoch = int(result[EPOCH])
        metrics = {name: result[name] for name in self._spec.objectives if name in result}
        if MEMORY in result:
            self._memory.record(live.trial.parameters, result[MEMORY])
        self._listener(EpochReported(live.trial.identity, live.epoch, metrics))

    def _falls_behind(self, live: LiveTrial, result: Mapping[str, Any]) -> bool:
        stopping, identity = self._early_stopping, live.trial.identity
        if stopping is None or identity.repeat or EPOCH not in result:
            return False
        epoch = int(result[EPOCH])
        live.fallen_behind = stopping.judge(identity.number, live.trial.parameters, epoch, result)
        return live.fallen_behind is not None

    def _fallen_behind_before(self, identity: TrialIdentity) -> RungResult | None:
        """With what a trial was stopped that its launch left unfinished all the same."""
        if self._early_stopping is None or identity.repeat:
            return None
        return self._early_stopping.judge_unfinished(identity.number)

    def _enter_end(self, live: LiveTrial, result: Mapping[str, Any]) -> None:
        if FAILURE in result:
            self._enter_failure(live, Failure(result[FAILURE_CLASS], result[FAILURE]))
        elif COMPLETE in result:
            self._complete(live, result)
        elif live.fallen_behind is not None:
            self._report(live, result)  # Tune tells a searcher only of epochs to go on from
            self._prune(live.trial.identity, live.fallen_behind)
        else:
            self._listener(AttemptEnded(live.trial.identity))

    def _complete(self, live: LiveTrial, result: Mapping[str, Any]) -> None:
        try:
            objectives = finite_objectives(result, self._spec.objectives)
            violations = self._trials.complete(live.trial.identity, objectives)
        except NonFiniteError as error:
            self._fail(live.trial.identity, failure_of(error))
            return
        self._finished += live.trial.identity.repeat == 0
        self._opening.complete()
        self._listener(
            TrialEnded(live.trial.identity, "COMPLETE", objectives, violations=violations)
        )

    def _prune(self, identity: TrialIdentity, reached: RungResult) -> None:
        self._trials.prune(identity, reached.epoch, reached.objectives)
        self._finished += 1
        self._opening.complete()
        self._listener(TrialEnded(identity, "PRUNED"))

    def _enter_failure(self, live: LiveTrial, failure: Failure) -> None:
        """Try the trial again where that may help; else it has failed.

        Raises:
            StorageError: its files cannot be written; the trial stays unfinished.
            UserError: its node is unfit; likewise.
        """
        identity, before = live.trial.identity, live.trial.retries
        step, after = next_step(failure.kind, before, live.epoch)
        if after != before:
            self._trials.write_retries(identity, after)
        if step == "fail":
            if failure.kind == "infrastructure":
                times = f"{after.deaths} times without progress"
                failure = replace(failure, reason=f"{failure.reason} ({times})")
            self._fail(identity, failure)
            return
        if step == "retry":
            self._unfinished.append(identity)
        self._listener(AttemptEnded(identity, failure.reason, failure.kind))
        if step == "stop":
            raise _STOPPING[failure.kind](failure.reason)

    def _fail(self, identity: TrialIdentity, failure: Failure) -> None:
        self._trials.fail(identity, failure)
        self._finished += identity.repeat == 0
        self._listener(TrialEnded(identity, "FAIL", None, failure.reason, failure.kind))
        if identity.repeat == 0 and self._opening.fails_alike(failure):
            self.failing_alike = failure
            self._interruption.request()

    def _guarded(self, act: Callable[..., Answer], *arguments: object) -> Answer | None:
        """What `act` returns; None, and the study stops, if it raises or has raised before."""
        if self.fault is not None:
            return None
        try:
            return act(*arguments)
        except Exception as fault:
            self.fault = fault
            self._interruption.request()
            return None
