"""When a study is finished."""

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
    """Whether the budget is spent, nothing is left to be taken up and the race is over."""
    spent = spent_by_launches(records, launches, spec.resources)
    if not search_is_over(spec, records, spent):
        return False
    return not affordable(race(spec, candidates(records)).to_do, hours_spent(spec.budget, spent))


def search_is_over(spec: StudySpec, records: Sequence[TrialRecord], spent: SpentBudget) -> bool:
    """Whether what was `spent` allows no new trial, and all have ended; further seeds apart."""
    searched = [record for record in records if record.identity.repeat == 0]
    if any(record.state == "RUNNING" for record in searched):
        return False
    tried = (record.parameters for record in searched)
    return budget_spent(spec.budget, spent) or is_exhausted(spec, tried)
