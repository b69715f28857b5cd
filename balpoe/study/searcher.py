"""What Tune asks for trials, and tells their ends: the bridge to the ledger.

Orphans (trials that an earlier launch left RUNNING) come first, then new proposals, until the
budget is spent. Every trial ends once in the ledger, before anyone hears of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from ray.tune.search import Searcher

from balpoe.config import StudySpec
from balpoe.errors import NonFiniteError
from balpoe.study.events import EpochReported, Listener, TrialEnded, TrialStarted
from balpoe.study.interruption import Interruption
from balpoe.study.ledger import Ledger, Proposal
from balpoe.study.objectives import finite_objectives
from balpoe.study.record import TrialIdentity
from balpoe.study.trial_actor import COMPLETE, EPOCH, FAILURE, IDENTITY, PARAMETERS

Answer = TypeVar("Answer")


class StudySearcher(Searcher):
    """Hands the trials of `ledger` to Tune until the budget of `spec` is spent.

    Tune would take an exception raised in here for the failure of a trial; so the first one
    is kept in `fault`, the study stops, and nothing more is told to the ledger.
    """

    def __init__(
        self, spec: StudySpec, ledger: Ledger, listener: Listener, interruption: Interruption
    ) -> None:
        super().__init__()
        self._spec = spec
        self._ledger = ledger
        self._listener = listener
        self._interruption = interruption
        self._orphans = deque(ledger.running())
        self._live: dict[str, TrialIdentity] = {}
        self.fault: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The next trial as Tune's configuration, or FINISHED (a string: Tune's type lacks it)."""
        return self._guarded(self._next_trial, trial_id) or str(Searcher.FINISHED)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass an epoch on."""
        metrics = {name: result[name] for name in self._spec.objectives if name in result}
        event = EpochReported(self._live[trial_id], int(result[EPOCH]), metrics)
        self._guarded(self._listener, event)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Enter the end of a trial; that of a dead worker comes with its reason by `on_death`."""
        if not error:
            self._guarded(self._enter_end, self._live.pop(trial_id), result or {})

    def on_death(self, trial_id: str, reason: str) -> None:
        """Enter the end of a trial whose worker died."""
        self._guarded(self._fail, self._live.pop(trial_id), reason)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the truth is in the ledger, and Tune's runs are never restored."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher for a restoration that is never done."""
        return {}

    def _next_trial(self, trial_id: str) -> dict[str, Any] | None:
        proposal = None if self._interruption.requested else self._next_proposal()
        if proposal is None:
            return None
        identity = TrialIdentity(self._spec.name, proposal.number, attempt=proposal.attempt)
        self._live[trial_id] = identity
        self._listener(TrialStarted(identity, proposal.parameters))
        return {IDENTITY: asdict(identity), PARAMETERS: dict(proposal.parameters)}

    def _next_proposal(self) -> Proposal | None:
        if self._orphans:
            return self._ledger.take_up(self._orphans.popleft())
        if self._ledger.finished() + len(self._live) >= self._spec.budget.trials:
            return None
        return self._ledger.ask()

    def _enter_end(self, identity: TrialIdentity, result: Mapping[str, Any]) -> None:
        if FAILURE in result:
            self._fail(identity, result[FAILURE])
        elif COMPLETE in result:
            self._complete(identity, result)
        else:
            self._listener(TrialEnded(identity, "RUNNING"))

    def _complete(self, identity: TrialIdentity, result: Mapping[str, Any]) -> None:
        try:
            objectives = finite_objectives(result, self._spec.objectives)
        except NonFiniteError as error:
            self._fail(identity, str(error))
            return
        self._ledger.complete(identity.number, objectives)
        self._listener(TrialEnded(identity, "COMPLETE", objectives))

    def _fail(self, identity: TrialIdentity, reason: str) -> None:
        self._ledger.fail(identity.number, reason)
        self._listener(TrialEnded(identity, "FAIL", failure=reason))

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
