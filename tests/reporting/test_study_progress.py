from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from balpoe.config import BudgetConfig, HalvingConfig, StudySpec
from balpoe.reporting.study_display import StudyDisplay
from balpoe.reporting.study_panel import study_panel, trial_line
from balpoe.reporting.study_progress import study_progress
from balpoe.reporting.time_left import epochs_done
from balpoe.study.trials.events import AttemptEnded, EpochReported, TrialEnded, TrialStarted
from balpoe.study.trials.record import TrialIdentity, TrialRecord
from balpoe.training.epoch import EpochResult

MakeRecord = Callable[..., TrialRecord]
Lines = Callable[[RenderableType], list[str]]


def test_trials_are_counted_by_their_state(spec: StudySpec, make_record: MakeRecord) -> None:
    records = [
        make_record(0),
        make_record(1, "FAIL", epochs=3),
        make_record(2, "PRUNED", epochs=4),
        make_record(3, "RUNNING", epochs=5),
    ]
    progress = study_progress(spec, records, launches=[1000], now=1030)
    assert progress.states == {"RUNNING": 1, "COMPLETE": 1, "PRUNED": 1, "FAIL": 1}
    assert progress.finished == 3
    (running,) = progress.running
    assert (running.record.identity.number, epochs_done(running.record)) == (3, 5)
    assert running.epochs == 20


def test_the_best_is_judged_for_every_objective_in_its_own_direction(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    records = [
        make_record(0, accuracy=0.90, ece=0.02),
        make_record(1, accuracy=0.93, ece=0.09),
        make_record(2, "RUNNING", accuracy=0.99, ece=0.01),
    ]
    best = study_progress(spec, records, launches=[1000], now=1030).best
    assert (best["val/accuracy"].number, best["val/accuracy"].value) == (1, 0.93)
    assert (best["val/ece"].number, best["val/ece"].value) == (0, 0.02)


def test_further_seeds_of_a_trial_are_no_trials_of_the_search(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    records = [make_record(0), make_record(0, repeat=1, accuracy=0.99)]
    progress = study_progress(spec, records, launches=[1000], now=1030)
    assert progress.states["COMPLETE"] == 1
    assert progress.best["val/accuracy"].value == 0.9


def test_a_further_seed_under_way_is_shown_as_one(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    repeat = make_record(4, "RUNNING", epochs=3, repeat=2)
    progress = study_progress(spec, [make_record(4), repeat], launches=[1000], now=1030)
    assert lines(study_panel(progress))[-1].startswith("trial 4 repeat 2")
    ended = make_record(4, repeat=2, accuracy=0.91)
    assert trial_line(ended, progress).startswith("[ 1/12] trial 4 repeat 2 complete: accuracy 91")


def test_time_left_is_what_the_missing_epochs_take_at_the_pace_of_this_launch(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    # 30 epochs in 15 s; missing: 10 of the running trial and 20 each of 10 more
    records = [make_record(0, epochs=20), make_record(1, "RUNNING", epochs=10)]
    progress = study_progress(spec, records, launches=[1000], now=1015)
    assert progress.left_seconds == pytest.approx(210 * 15 / 30)


def test_where_trials_are_stopped_early_those_to_come_are_taken_to_last_as_long(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    # 24 epochs in 12 s; missing: 12 each, the mean of 20 and 4, of 10 trials
    stopping = replace(spec, early_stopping=HalvingConfig(grace_epochs=4))
    records = [make_record(0), make_record(1, "PRUNED", epochs=4)]
    progress = study_progress(stopping, records, launches=[1000], now=1012)
    assert progress.left_seconds == pytest.approx(120 * 12 / 24)


def test_a_trial_that_breaks_a_constraint_is_not_the_best_and_its_line_says_why(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    broken = replace(make_record(0, accuracy=0.99), violations={"parameters <= 1e+06": 0.5})
    progress = study_progress(spec, [broken, make_record(1)], launches=[1000], now=1030)
    assert progress.best["val/accuracy"].number == 1
    assert lines(study_panel(progress))[1].endswith("0 failed · 1 infeasible")
    assert "ECE 5.0 %, infeasible: parameters <= 1e+06 is broken (" in trial_line(broken, progress)


def test_a_line_tells_when_a_trial_fell_behind(spec: StudySpec, make_record: MakeRecord) -> None:
    record = make_record(1, "PRUNED", epochs=4)
    progress = study_progress(spec, [record], launches=[1000], now=1030)
    assert trial_line(record, progress).startswith(
        "[ 1/12] trial 1 pruned: stopped after epoch 4 ("
    )


def test_time_left_includes_the_seeds_that_the_front_still_lacks(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    spec = replace(spec, repeats=3, budget=BudgetConfig(trials=2))
    records = [
        make_record(0, accuracy=0.9),
        make_record(1, accuracy=0.8, ece=0.09),  # off the front
        make_record(0, "RUNNING", epochs=5, repeat=1),
    ]
    progress = study_progress(spec, records, launches=[1000], now=1045)
    # 45 epochs in 45 s; missing: 15 of the running repeat and 20 of the next
    assert progress.left_seconds == pytest.approx(35)
    longer = replace(spec, repeats=5)  # the race may go on for two more seeds
    progress = study_progress(longer, records, launches=[1000], now=1045)
    assert progress.left_seconds == pytest.approx(75)
    searching = replace(longer, budget=BudgetConfig(trials=3))  # a trial, and the front's three
    progress = study_progress(searching, records, launches=[1000], now=1045)
    assert progress.left_seconds == pytest.approx(20 + 35)


def test_a_budget_in_hours_is_what_is_left_of_it(spec: StudySpec, make_record: MakeRecord) -> None:
    records = [make_record(0, began=100), make_record(1, epochs=20)]  # 20 s in each launch
    hours = BudgetConfig(wall_hours=1.0)
    wall = study_progress(replace(spec, budget=hours), records, launches=[100, 1000], now=1020)
    assert wall.left_seconds == pytest.approx(3600 - 40)
    hours = BudgetConfig(device_hours=1.0)
    devices = study_progress(replace(spec, budget=hours), records, launches=[100, 1000], now=1020)
    assert devices.left_seconds == pytest.approx((3600 - 40) / 2)  # two trials at a time


def test_trials_of_an_earlier_launch_say_nothing_about_the_pace(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    records = [make_record(0, began=100), make_record(1, "RUNNING", epochs=0, began=1000)]
    assert study_progress(spec, records, launches=[1000], now=1005).left_seconds is None


def test_the_panel_shows_counts_best_and_every_running_trial(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    records = [
        make_record(0, accuracy=0.9333),
        make_record(1, "FAIL", epochs=1),
        make_record(2, "RUNNING", epochs=14, accuracy=0.85, ece=0.09),
    ]
    shown = lines(study_panel(study_progress(spec, records, launches=[1000], now=1070)))
    assert "digits_lt" in shown[0]
    assert "2/12 trials  1:10, about" in shown[0]
    assert shown[1] == "1 running · 1 complete · 0 pruned · 1 failed"
    assert shown[2:4] == ["best   accuracy 93.3 % (trial 0)", "best   ECE 5.0 % (trial 0)"]
    assert shown[4].startswith("trial 2")
    assert shown[4].endswith("epoch 14/20  accuracy 85.0 %  ECE 9.0 %")
    assert max(map(len, shown)) <= 80


def test_the_best_is_compared_with_the_best_known_point_in_the_same_objective(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    ce, balanced, balpoe = spec.points.points
    records = [
        make_record(0, accuracy=0.80, ece=0.09, parameters=ce.parameters),
        make_record(1, accuracy=0.85, ece=0.04, parameters=balanced.parameters),
        make_record(2, "RUNNING", accuracy=0.99, parameters=balpoe.parameters),
        make_record(3, accuracy=0.90, ece=0.05),
    ]
    progress = study_progress(spec, records, launches=[1000], now=1030)
    shown = lines(study_panel(progress))
    assert shown[2:4] == [
        "best   accuracy 90.0 % (trial 3; balanced_softmax 85.0 %)",
        "best   ECE 4.0 % (trial 1; balanced_softmax 4.0 %)",
    ]


def test_a_line_for_an_ended_trial_has_its_values_or_its_failure(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    complete = make_record(0, accuracy=0.9333)
    failed = make_record(1, "FAIL", epochs=2, failure="NonFiniteError: the loss is NaN")
    progress = study_progress(spec, [complete, failed], launches=[1000], now=1022)
    assert trial_line(complete, progress) == (
        "[ 2/12] trial 0 complete: accuracy 93.3 %  ECE 5.0 % (0:22, about 3:20 left)"
    )
    assert trial_line(failed, progress).startswith(
        "[ 2/12] trial 1 failed: NonFiniteError: the loss is NaN ("
    )


def _run(display: StudyDisplay) -> None:
    """Two trials, one of which is stopped on the way."""
    one, two = TrialIdentity("digits_lt", 0), TrialIdentity("digits_lt", 1)
    values = {"val/accuracy": 0.9333, "val/ece": 0.05}
    with display:
        display(TrialStarted(one, {}))
        display(TrialStarted(two, {}))
        for epoch in range(1, 21):
            display(EpochReported(one, epoch, values, EpochResult(epoch, 999.0, values)))
        display(TrialEnded(one, "COMPLETE", values))
        display(AttemptEnded(two))


def test_without_a_terminal_there_is_one_plain_line_for_each_trial_that_ended(
    spec: StudySpec,
) -> None:
    screen = io.StringIO()
    _run(StudyDisplay(spec, Console(file=screen, width=80), now=lambda: 1000.0))
    (line,) = screen.getvalue().splitlines()
    assert line.startswith("[ 1/12] trial 0 complete: accuracy 93.3 %  ECE 5.0 %")


def test_on_a_terminal_the_panel_stays_up_to_date_until_the_end(spec: StudySpec) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=80, force_terminal=True, color_system=None)
    _run(StudyDisplay(spec, console, now=lambda: 1000.0))
    last = screen.getvalue().rpartition("digits_lt")[2]
    assert "1/12 trials" in last
    assert "1 running · 1 complete" in last


def test_a_continued_study_begins_with_the_trials_of_before(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    screen = io.StringIO()
    earlier = [make_record(number, began=100) for number in range(5, 9)]
    _run(StudyDisplay(spec, Console(file=screen, width=80), earlier=earlier))
    assert screen.getvalue().startswith("[ 5/12] trial 0 complete")
