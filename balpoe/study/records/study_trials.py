"""The trials and repeats of a study during a launch: what is to be run, and how each ended.

Optuna's ledger keeps repeat 0 of every trial, files keep the repeats after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from balpoe.config import StudySpec
from balpoe.config.constraints import excesses, violated
from balpoe.config.known_points import KnownPoint
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.ledger import Ledger
from balpoe.study.records.record_store import RecordStore, with_repeats
from balpoe.study.records.repeat_states import RepeatStates
from balpoe.study.search.earlier_trials import EarlierStudy
from balpoe.study.search.spent_budget import SpentBudget, spent_by_launches
from balpoe.study.selection.candidates import Candidate, candidates, is_feasible
from balpoe.study.selection.race import SeedToTrain, race
from balpoe.study.storage.storage_interface import ConfirmLease
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.objectives import finite_objectives
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialToRun
from balpoe.study.trials.retries import RetryState
from balpoe.training.epoch import EpochResult


class StudyTrials:
    """The trials and repeats of the study `spec` in `directory`.

    `confirm_lease` is called before every write to the storage and raises once the lease is lost.

    Raises:
        CorruptFile: the storage is damaged.
        StorageError: the storage cannot be opened or written.
        UserError: the study exists with other objectives, or is that of another directory.
    """

    def __init__(
        self,
        spec: StudySpec,
        directory: StudyDirectory,
        confirm_lease: ConfirmLease | None = None,
    ) -> None:
        self._spec = spec
        self._directory = directory
        self._files = study_files(directory)
        self._ledger = Ledger(spec, directory, confirm_lease)
        self._repeats = RepeatStates(spec, directory)

    def begin_launch(self, earlier: Sequence[EarlierStudy]) -> int:
        """Count one more launch, which learns from `earlier` studies; return its number."""
        return self._ledger.begin_launch(earlier)

    def launches(self) -> tuple[float, ...]:
        """Return the times at which the launches began, in Unix seconds."""
        return self._ledger.launches()

    def spent(self) -> SpentBudget:
        """Return what earlier launches spent of the budget; only hours need the trials' files."""
        budget = self._spec.budget
        if budget.wall_hours is None and budget.device_hours is None:
            return SpentBudget(self.finished(), 0.0, 0.0)
        records = RecordStore(self._spec, self._directory).records()
        return spent_by_launches(records, self.launches(), self._spec.resources)

    def summaries(self) -> tuple[TrialRecord, ...]:
        """Return the records of all trials without their histories, each before its repeats."""
        return with_repeats(self._spec, self._directory, self._ledger.records())

    def unfinished(self) -> list[TrialIdentity]:
        """Return the trials that an earlier launch left RUNNING, without repeats."""
        return [TrialIdentity(self._spec.name, number) for number in self._ledger.running()]

    def finished(self) -> int:
        """Return the number of trials that have ended, without repeats."""
        return self._ledger.finished()

    def is_exhausted(self) -> bool:
        """Return whether all points of a grid were proposed; False for other samplers."""
        return self._ledger.is_exhausted()

    def seeds_to_train(self) -> tuple[SeedToTrain, ...]:
        """Return the missing seeds of the present round of the race between all trials so far."""
        if self._spec.repeats == 1:
            return ()
        return race(self._spec, self._candidates()).to_do

    def ask(self) -> TrialToRun:
        """Propose a new trial."""
        return self._ledger.ask()

    def enqueue(self, point: KnownPoint, request: str) -> None:
        """Propose a point next, once for the same request; it waits in the storage."""
        self._ledger.enqueue(point, request)

    def waiting(self) -> tuple[int, ...]:
        """Return the numbers of the trials that wait to be asked for."""
        return self._ledger.waiting()

    def stored_history(self, identity: TrialIdentity) -> tuple[EpochResult, ...]:
        """Return the epochs of a trial that its files have."""
        metrics = self._files.refresh_trial(identity).metrics
        return read_metrics(metrics) if metrics.exists() else ()

    def resume(self, identity: TrialIdentity) -> TrialToRun:
        """Begin one more attempt at a trial; of a repeat, also the first."""
        if identity.repeat:
            parameters = self._ledger.record(identity).parameters
            return self._repeats.resume(identity, parameters)
        return self._ledger.resume(identity)

    def is_exclusive(self, identity: TrialIdentity) -> bool:
        """Return whether a trial may run only while no other trial does."""
        return self._place(identity).retries(identity).exclusive

    def write_retries(self, identity: TrialIdentity, state: RetryState) -> None:
        """Write the attempts at a trial so far."""
        self._place(identity).write_retries(identity, state)

    def complete(
        self, identity: TrialIdentity, objectives: Mapping[str, float]
    ) -> Mapping[str, float]:
        """End a trial with its objective values.

        Returns:
            The violated constraints with the excess over each; none of a repeat.

        Raises:
            NonFiniteError: a constrained metric is missing or not finite.
        """
        found = {} if identity.repeat else self._excesses(identity)
        if found:
            self._ledger.constrain(identity, found)
        self._place(identity).complete(identity, objectives)
        return violated(found)

    def prune(self, identity: TrialIdentity, epoch: int, objectives: Mapping[str, float]) -> None:
        """End a trial as pruned after `epoch`, where it had these `objectives`."""
        self._ledger.prune(identity, epoch, objectives)

    def fail(self, identity: TrialIdentity, failure: Failure) -> None:
        """End a trial as failed."""
        self._place(identity).fail(identity, failure)

    def _place(self, identity: TrialIdentity) -> Ledger | RepeatStates:
        return self._repeats if identity.repeat else self._ledger

    def _candidates(self) -> tuple[Candidate, ...]:
        feasible = filter(is_feasible, self._ledger.records())
        return candidates(
            [
                record
                for trial in feasible
                for record in (trial, *self._repeats.summaries(trial.identity.number))
            ]
        )

    def _excesses(self, identity: TrialIdentity) -> dict[str, float]:
        """Return the excess of a trial over each constraint at its last epoch."""
        constraints = self._spec.constraints
        if not constraints:
            return {}
        *_, last = read_metrics(self._files.refresh_trial(identity).metrics)
        return excesses(constraints, finite_objectives(last.metrics, constraints))
