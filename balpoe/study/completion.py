"""When a study is finished."""

from __future__ import annotations

from collections.abc import Sequence

from balpoe.config import StudySpec
from balpoe.study.budget import budget_spent, spent_by_launches
from balpoe.study.known_points import is_exhausted
from balpoe.study.record import TrialRecord
from balpoe.study.selection import lacks_repeats


def is_finished(spec: StudySpec, records: Sequence[TrialRecord], launches: Sequence[float]) -> bool:
    """Whether the budget is spent, nothing is left to be taken up and the front has its seeds."""
    searched = [record for record in records if record.identity.repeat == 0]
    if any(record.state == "RUNNING" for record in searched) or lacks_repeats(spec, records):
        return False
    tried = (record.parameters for record in records)
    spent = spent_by_launches(records, launches, spec.resources)
    return budget_spent(spec.budget, spent) or is_exhausted(spec, tried)
