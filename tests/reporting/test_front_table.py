from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from rich.console import RenderableType

from balpoe.config import ExpertsConfig, StudySpec
from balpoe.reporting.front_table import front_report
from balpoe.study.trials.record import TrialRecord

MakeRecord = Callable[..., TrialRecord]
Lines = Callable[[RenderableType], list[str]]
EXPORTS = Path("runs/digits_lt/exports")


def test_each_row_has_number_parameters_objectives_in_percent_and_seeds(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    records = [make_record(7, accuracy=0.9333, ece=0.0312), make_record(2, accuracy=0.9)]
    shown = lines(front_report(spec, records, records, exports=EXPORTS))
    rows = [line.split() for line in shown if "independent" in line]
    assert rows[0] == ["7", "3", "0.437", "independent", "0.2", "93.3", "3.1", "1"]
    assert [row[0] for row in rows] == ["7", "2"]
    assert shown[0] == "Pareto front of digits_lt: 2 trials"
    assert max(map(len, shown)) <= 80


def test_further_seeds_of_a_trial_turn_its_values_into_mean_and_spread(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    search = make_record(7, accuracy=0.92)
    seeds = [make_record(7, accuracy=accuracy, repeat=r) for r, accuracy in ((1, 0.93), (2, 0.94))]
    shown = lines(front_report(spec, [search], [search, *seeds], exports=EXPORTS))
    (row,) = [line.split() for line in shown if "independent" in line]
    assert row[5:] == ["93.0", "±1.0", "5.0", "±0.0", "3"]
    assert max(map(len, shown)) <= 80


def test_trials_that_nothing_separates_share_a_letter(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    seeds = {7: (0.92, 0.93, 0.94), 2: (0.93, 0.92, 0.94), 5: (0.90, 0.91, 0.90), 1: (0.99,)}
    records = [
        make_record(number, accuracy=accuracy, repeat=repeat, ece=0.05 if number == 1 else 0.04)
        for number, accuracies in seeds.items()
        for repeat, accuracy in enumerate(accuracies)
    ]
    front = [record for record in records if record.identity.repeat == 0]
    failed = make_record(1, "FAIL", repeat=1, failure="diverged")
    shown = lines(front_report(spec, front, [*records, failed], exports=EXPORTS))
    rows = [line.split() for line in shown if "independent" in line]
    assert {row[0]: row[-1] for row in rows} == {"7": "a", "2": "a", "5": "b", "1": "–"}
    assert "trial 1 repeat 1 failed, no further seed of it was trained: diverged" in shown
    assert max(map(len, shown)) <= 80


def test_the_next_commands_are_exact(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    records = [make_record(7), make_record(8, "FAIL", epochs=1)]
    shown = lines(front_report(spec, records[:1], records, exports=EXPORTS))
    assert shown[0] == "Pareto front of digits_lt: 2 trials, 1 failed"
    assert shown[-2:] == [
        "  balpoe export digits_lt --top 1",
        "  balpoe train runs/digits_lt/exports/rank_1_trial_0007.yaml --seeds 1,2,3",
    ]


def test_infeasible_trials_are_counted_and_none_is_shown_as_the_best(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    broken = dataclasses.replace(make_record(7), violations={"parameters <= 1e+06": 0.5})
    shown = lines(front_report(spec, [], [broken], exports=EXPORTS))
    assert shown == [
        "digits_lt: 1 trial, 1 infeasible",
        "Every COMPLETE trial breaks a constraint: there is nothing to export.",
    ]
    point = dataclasses.replace(broken, parameters=spec.points.points[1].parameters)
    records = [make_record(2), point]
    shown = lines(front_report(spec, records[:1], records, exports=EXPORTS))
    assert shown[0] == "Pareto front of digits_lt: 2 trials, 1 infeasible"
    assert any("balanced_softmax" in line for line in shown)
    assert any("(infeasible)" in line for line in shown)


def test_with_one_objective_it_is_the_best_trial(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    single = dataclasses.replace(spec, objectives={"val/accuracy": "maximize"})
    record = make_record(7)
    shown = lines(front_report(single, [record], [record], exports=EXPORTS))
    assert shown[0] == "Best trial of digits_lt: 1 trial"


def test_a_study_without_a_complete_trial_says_so(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    records = [make_record(0, "FAIL", epochs=1), make_record(1, "FAIL", epochs=1)]
    assert lines(front_report(spec, [], records, exports=EXPORTS)) == [
        "digits_lt: 2 trials, 2 failed",
        "No trial is COMPLETE: there is nothing to export.",
    ]


def test_the_gain_over_every_known_point_is_shown_with_its_sign(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    ce, balanced, balpoe = (point.parameters for point in spec.points.points)
    best = make_record(7, accuracy=0.93, ece=0.05)
    records = [
        make_record(0, accuracy=0.80, ece=0.09, parameters=ce),
        make_record(1, accuracy=0.90, ece=0.04, parameters=balanced),
        make_record(2, "FAIL", parameters=balpoe),
        best,
    ]
    shown = lines(front_report(spec, [best], records, exports=EXPORTS))
    assert "Gain of trial 7 over the known points" in shown
    rows = {line.split()[0]: line.split()[1:] for line in shown if line and "--" not in line}
    assert rows["ce"] == ["0", "80.0", "+13.0", "9.0", "+4.0", "1"]
    assert rows["balanced_softmax"] == ["1", "90.0", "+3.0", "4.0", "-1.0", "1"]
    assert rows["balpoe"] == ["2", "–", "–", "–", "–", "0"]
    assert max(map(len, shown)) <= 80


def test_a_known_point_that_the_study_cannot_try_is_named_with_the_reason(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    base = dataclasses.replace(spec.base, experts=ExpertsConfig(count=3, lambdas=(1.0, 0.0, -1.0)))
    alpha = {"mixup.alpha": spec.search["mixup.alpha"]}
    fixed = dataclasses.replace(spec, base=base, search=alpha)
    record = make_record(0)
    shown = lines(front_report(fixed, [record], [record], exports=EXPORTS))
    assert "known point ce was not tried: lambdas must be as many as count (1), got 3" in shown
