from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from balpoe.config import StudySpec
from balpoe.reporting import race_forecast
from balpoe.reporting.race_forecast import RaceForecast
from balpoe.study.selection.candidates import Candidate, candidates
from balpoe.study.selection.race import Race, race
from balpoe.study.trials.record import TrialRecord

MakeRecord = Callable[..., TrialRecord]


@pytest.fixture
def racing_spec(spec: StudySpec) -> StudySpec:
    return replace(spec, repeats=4)


@pytest.fixture
def course(make_record: MakeRecord) -> list[TrialRecord]:
    """A study's records in the order in which they came, the second seed of trial 0 last."""
    trials = [make_record(n, accuracy=0.9 + n / 100, ece=0.05 + n / 100) for n in range(3)]
    dominated = make_record(3, accuracy=0.5, ece=0.5)
    begun = make_record(0, "RUNNING", epochs=5, repeat=1)
    ended = make_record(0, repeat=1, accuracy=0.91)
    return [*trials, dominated, begun, ended]


@pytest.mark.parametrize("searching", [True, False])
def test_what_is_foreseen_is_what_the_race_would_decide_now(
    racing_spec: StudySpec, course: Sequence[TrialRecord], searching: bool
) -> None:
    kept = RaceForecast(racing_spec)
    known: dict[tuple[int, int], TrialRecord] = {}
    for record in course:
        known[record.identity.number, record.identity.repeat] = record
        records = list(known.values())
        foreseen = kept.racing_trials(records, searching=searching)
        assert foreseen == RaceForecast(racing_spec).racing_trials(records, searching=searching)
        if not searching:
            assert foreseen == race(racing_spec, candidates(records)).racing


def test_the_race_is_replayed_where_a_trial_has_ended_and_not_where_one_goes_on(
    racing_spec: StudySpec,
    course: list[TrialRecord],
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replayed: list[int] = []

    def counted(spec: StudySpec, known: Sequence[Candidate]) -> Race:
        replayed.append(len(known))
        return race(spec, known)

    monkeypatch.setattr(race_forecast, "race", counted)
    *ended, begun, end = course
    forecast = RaceForecast(racing_spec)
    for running in ([], [begun], [begun], [make_record(0, "RUNNING", epochs=6, repeat=1)]):
        forecast.racing_trials([*ended, *running], searching=False)
    assert replayed == [4]
    forecast.racing_trials([*ended, end], searching=False)
    assert replayed == [4, 4]
