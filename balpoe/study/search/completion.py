"""The end of a study."""

from __future__ import annotations

from collections.abc import Sequence

from balpoe.config import StudySpec
from balpoe.study.search.planned_trials import is_exhausted
from balpoe.study.search.spent_budget import (
    SpentBudget,
    budget_spent,
    hours_spent,
    spent_by_launches,
)
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.race import affordable, race
from balpoe.study.trials.record import TrialRecord


def is_finished(spec: StudySpec, records: Sequence[TrialRecord], launches: Sequence[float]) -> bool:
    """Return whether a study with these trials, their repeats and these launches is over."""
    return is_over(spec, records, spent_by_launches(records, launches, spec.resources))


def is_over(spec: StudySpec, records: Sequence[TrialRecord], spent: SpentBudget) -> bool:
    """Return whether the search is over and the race has no seed left to train.

    `records` holds all trials and their repeats, `spent` is what they spent.
    """
    if not search_is_over(spec, records, spent):
        return False
    return not affordable(race(spec, candidates(records)).to_do, hours_spent(spec.budget, spent))


def search_is_over(spec: StudySpec, records: Sequence[TrialRecord], spent: SpentBudget) -> bool:
    """Return whether all trials have ended and no new one may begin, without further seeds."""
    searched = [record for record in records if record.identity.repeat == 0]
    if any(record.state == "RUNNING" for record in searched):
        return False
    tried = (record.parameters for record in searched)
    return budget_spent(spec.budget, spent) or is_exhausted(spec, tried)
