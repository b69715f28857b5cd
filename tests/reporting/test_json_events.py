"""A launch as lines of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from balpoe.config import StudySpec
from balpoe.reporting.json_events import event_lines, outcome_line
from balpoe.study.trials.events import (
    AttemptEnded,
    EpochReported,
    StopRequested,
    TrialEnded,
    TrialStarted,
)
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.training.epoch import EpochResult

MakeRecord = Callable[..., TrialRecord]
IDENTITY = TrialIdentity("digits_lt", 3, attempt=1)


def _told(spec: StudySpec, *events: object) -> list[dict[str, object]]:
    lines: list[str] = []
    with event_lines(spec, (), write=lines.append, now=lambda: 1000.5) as listen:
        for event in events:
            listen(event)  # type: ignore[arg-type]  # every kind of event is told alike
    return [json.loads(line) for line in lines]


def test_every_event_is_a_line_with_its_name_and_time(spec: StudySpec) -> None:
    launched, started, epoch, ended, stop = _told(
        spec,
        TrialStarted(IDENTITY, {"mixup.alpha": 0.5}),
        EpochReported(IDENTITY, 4, {"val/ece": 0.1}, EpochResult(4, 999.0, {"train/loss": 1.0})),
        TrialEnded(IDENTITY, "FAIL", failure="out of luck"),
        StopRequested("no room"),
    )
    assert launched["event"] == "study_launched"
    assert launched["study"] == "digits_lt"
    identity = {"study": "digits_lt", "number": 3, "repeat": 0, "attempt": 1}
    assert started == {
        "event": "trial_started",
        "time": 1000.5,
        "identity": identity,
        "parameters": {"mixup.alpha": 0.5},
    }
    assert (epoch["event"], epoch["epoch"]) == ("epoch_reported", 4)
    assert epoch["metrics"] == {"val/ece": 0.1}
    assert "result" not in epoch, "all metrics of every epoch would make the log unreadable"
    assert (ended["event"], ended["state"]) == ("trial_ended", "FAIL")
    assert ended["failure"] == "out of luck"
    assert stop == {"event": "stop_requested", "time": 1000.5, "reason": "no room"}


def test_the_end_of_an_attempt_is_the_end_of_a_trial_that_is_running(spec: StudySpec) -> None:
    events = (
        AttemptEnded(IDENTITY, "the worker died", "infrastructure"),
        TrialEnded(IDENTITY, "FAIL", None, "diverged", "deterministic"),
    )
    _, attempt, trial = _told(spec, *events)
    assert list(attempt) == list(trial)
    assert attempt == {
        "event": "trial_ended",
        "time": 1000.5,
        "identity": {"study": "digits_lt", "number": 3, "repeat": 0, "attempt": 1},
        "state": "RUNNING",
        "objectives": None,
        "failure": "the worker died",
        "failure_class": "infrastructure",
        "violations": {},
    }


def test_what_is_no_number_in_json_is_null(spec: StudySpec) -> None:
    metrics = {"val/ece": math.nan, "val/nll": math.inf}
    _, epoch = _told(spec, EpochReported(IDENTITY, 1, metrics, EpochResult(1, 999.0, metrics)))
    assert epoch["metrics"] == {"val/ece": None, "val/nll": None}


def test_the_last_line_has_the_front_over_its_seeds(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    records = [
        make_record(0, accuracy=0.90),
        make_record(0, accuracy=0.94, repeat=1),
        make_record(1, state="FAIL"),
    ]
    line = outcome_line(spec, records[:1], records, status=0, reason=None, now=lambda: 7.0)
    ended = json.loads(line)
    assert (ended["event"], ended["status"], ended["reason"]) == ("study_ended", 0, None)
    assert ended["trials"] == {"RUNNING": 0, "COMPLETE": 1, "PRUNED": 0, "FAIL": 1}
    (best,) = ended["front"]
    accuracy = best["objectives"]["val/accuracy"]
    assert accuracy["n"] == 2
    assert math.isclose(accuracy["mean"], 0.92)
