from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from rich.console import RenderableType

from balpoe.config import SAMPLERS, BudgetConfig, IntParameter, Parameter, StudySpec
from balpoe.reporting.json_events import outcome_line
from balpoe.reporting.study_status import StudyStatus, status_plain, status_report
from balpoe.study.search.planned_trials import planned_trials
from balpoe.study.search.spent_budget import is_finished, spent_by_launches
from balpoe.study.trials.record import TrialRecord
from tests.reporting.conftest import LAUNCHED

MakeRecord = Callable[..., TrialRecord]
Lines = Callable[[RenderableType], list[str]]

HOUR = 3600.0
IDLE = "not running: `balpoe run` with its study file continues it"


def _status(spec: StudySpec, records: Sequence[TrialRecord]) -> StudyStatus:
    return StudyStatus(
        spec=spec,
        trials=tuple(records),
        spent=spent_by_launches(records, [LAUNCHED], spec.resources),
        repeats_left=0,
        pairs={"separable": 0, "not separable": 0, "not tested": 0},
        driver=None,
        now=LAUNCHED + HOUR,
    )


def _assert_finished(
    spec: StudySpec, records: Sequence[TrialRecord], lines: Lines, *, is_so: bool
) -> None:
    assert is_finished(spec, records, [LAUNCHED]) == is_so
    told = lines(status_report(_status(spec, records)))
    assert ("finished" in told, IDLE in told) == (is_so, not is_so)


@pytest.mark.parametrize(("seconds", "is_so"), [(20.0, True), (21.0, False)])
def test_a_study_is_finished_when_its_hours_are_spent(
    spec: StudySpec, make_record: MakeRecord, lines: Lines, seconds: float, is_so: bool
) -> None:
    records = [make_record(number, epochs=20) for number in range(3)]
    for budget in (
        BudgetConfig(wall_hours=seconds / HOUR),
        BudgetConfig(device_hours=3 * seconds / HOUR),
    ):
        one_device = replace(spec.resources, cpus_per_trial=1, gpus_per_trial=0)
        limited = replace(spec, budget=budget, resources=one_device)
        _assert_finished(limited, records, lines, is_so=is_so)


def test_a_study_is_finished_when_its_grid_is_exhausted(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    search: dict[str, Parameter] = {"experts.count": IntParameter(low=1, high=3)}
    grid = replace(spec, search=search, sampler=SAMPLERS["grid"]())
    planned = list(planned_trials(grid))
    records = [make_record(n, parameters=each.parameters) for n, each in enumerate(planned)]
    assert len(records) < 12
    _assert_finished(grid, records, lines, is_so=True)
    _assert_finished(grid, records[:-1], lines, is_so=False)


def test_a_trial_that_is_to_be_taken_up_leaves_a_study_unfinished(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    hours = replace(spec, budget=BudgetConfig(wall_hours=1 / HOUR))
    records = [make_record(0), make_record(1, "RUNNING", epochs=5)]
    _assert_finished(hours, records, lines, is_so=False)


def test_trials_by_state_are_those_of_the_search_as_in_the_last_line_of_a_launch(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    records = [
        make_record(0),
        make_record(0, "RUNNING", epochs=5, repeat=1),
        make_record(1, "RUNNING", epochs=3),
    ]
    plain = status_plain(_status(spec, records))
    assert plain["trials"] == {"RUNNING": 1, "COMPLETE": 1, "PRUNED": 0, "FAIL": 0}
    assert (
        plain["trials"]
        == json.loads(outcome_line(spec, [], records, status=0, reason=None))["trials"]
    )
    assert [(each["trial"], each["repeat"]) for each in plain["running"]] == [(0, 1), (1, 0)]
