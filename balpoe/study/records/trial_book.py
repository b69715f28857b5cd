"""All that is to be run in a study, and what came of it: the ledger and the further seeds.

Optuna's ledger is true for repeat 0 of every trial, the files for the repeats after it; who
runs trials need not know which is which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from balpoe.config import Choice, StudySpec
from balpoe.config.constraints import excesses, violated
from balpoe.study.object_store.working_copy import bring_trial
from balpoe.study.records.ledger import Ledger, Proposal
from balpoe.study.records.repeat_ledger import RepeatLedger
from balpoe.study.selection.candidates import Candidate, candidate, is_feasible
from balpoe.study.selection.race import SeedToTrain, race
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.failures import Failure
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.objectives import finite_objectives
from balpoe.study.trials.record import TrialIdentity, TrialRecord


@dataclass(frozen=True, slots=True)
class TakenTrial:
    """A trial to run now; an `alone` one beside no other."""

    identity: TrialIdentity
    parameters: Mapping[str, Choice]
    alone: bool


class TrialBook:
    """The trials and repeats of the study `spec`, in `ledger` and in the files of `directory`."""

    def __init__(self, spec: StudySpec, ledger: Ledger, directory: StudyDirectory) -> None:
        self._spec = spec
        self._ledger = ledger
        self._directory = directory
        self._repeats = RepeatLedger(spec, directory)
        self._told: dict[tuple[int, int], Mapping[str, float]] = {}

    def orphans(self) -> list[TrialIdentity]:
        """The trials that an earlier launch left RUNNING."""
        return [TrialIdentity(self._spec.name, number) for number in self._ledger.running()]

    def finished(self) -> int:
        """How many trials have ended, repeats not counted."""
        return self._ledger.finished()

    def is_exhausted(self) -> bool:
        """Whether every point of a grid has been proposed."""
        return self._ledger.is_exhausted()

    def seeds_to_train(self) -> tuple[SeedToTrain, ...]:
        """What the present round of the race between all trials so far lacks."""
        if self._spec.repeats == 1:
            return ()
        return race(self._spec, list(self._candidates())).to_do

    def ask(self) -> TakenTrial:
        """A new trial."""
        return self._taken(self._ledger.ask())

    def take_up(self, identity: TrialIdentity) -> TakenTrial:
        """Begin an unfinished trial once more, or a repeat."""
        if not identity.repeat:
            return self._taken(self._ledger.take_up(identity.number))
        parameters = self._ledger.entry(identity.number).parameters
        state = self._repeats.take_up(identity, parameters)
        return TakenTrial(replace(identity, attempt=state.attempt), parameters, state.alone)

    def is_set_apart(self, identity: TrialIdentity) -> bool:
        """Whether a trial is to run alone."""
        if identity.repeat:
            return self._repeats.is_set_apart(identity)
        return self._ledger.is_set_apart(identity.number)

    def set_apart(self, identity: TrialIdentity) -> None:
        """Have a trial taken up again while no other runs."""
        if identity.repeat:
            self._repeats.set_apart(identity)
        else:
            self._ledger.set_apart(identity.number)

    def count_death(self, identity: TrialIdentity, epoch: int) -> int:
        """How often its worker has died without progress, this time included."""
        if identity.repeat:
            return self._repeats.count_death(identity, epoch)
        return self._ledger.count_death(identity.number, epoch)

    def complete(
        self, identity: TrialIdentity, objectives: Mapping[str, float]
    ) -> dict[str, float]:
        """End a trial with its objective values; a repeat has them in its result.

        Returns:
            The constraints that it breaks, and how far it is beyond each; a repeat none.

        Raises:
            NonFiniteError: a constrained metric is missing or not finite.
        """
        if identity.repeat:
            self._told[identity.number, identity.repeat] = objectives
            return {}
        found = self._excesses(identity)
        self._ledger.constrain(identity.number, found)
        self._ledger.complete(identity.number, objectives)
        return violated(found)

    def prune(self, number: int, epoch: int, objectives: Mapping[str, float]) -> None:
        """End a trial as stopped early."""
        self._ledger.prune(number, epoch, objectives)

    def fail(self, identity: TrialIdentity, failure: Failure) -> None:
        """End a trial as failed."""
        if identity.repeat:
            self._repeats.fail(identity, failure)
        else:
            self._ledger.fail(identity.number, failure)

    def _candidates(self) -> Iterator[Candidate]:
        for entry in self._ledger.entries():
            if is_feasible(entry) and entry.objectives is not None:
                repeats = map(self._as_told, self._repeats.outlines(entry.number))
                yield candidate(entry.number, entry.parameters, entry.objectives, repeats)

    def _as_told(self, repeat: TrialRecord) -> TrialRecord:
        """A repeat that ended in this launch, whether a shared file system shows it yet or not."""
        told = self._told.get((repeat.identity.number, repeat.identity.repeat))
        return repeat if told is None else replace(repeat, state="COMPLETE", objectives=told)

    def _excesses(self, identity: TrialIdentity) -> dict[str, float]:
        """How far a trial is beyond each constraint at its last epoch."""
        constraints = self._spec.constraints
        if not constraints:
            return {}
        bring_trial(self._directory, identity)
        *_, last = read_metrics(self._directory.trial(identity).metrics)
        return excesses(constraints, finite_objectives(last.metrics, constraints))

    def _taken(self, proposal: Proposal) -> TakenTrial:
        identity = TrialIdentity(self._spec.name, proposal.number, attempt=proposal.attempt)
        return TakenTrial(identity, proposal.parameters, proposal.alone)
