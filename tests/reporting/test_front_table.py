from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import RenderableType

from balpoe.config import (
    CategoricalParameter,
    Choice,
    Condition,
    ExpertsConfig,
    FloatParameter,
    StudySpec,
)
from balpoe.reporting.front_table import front_report
from balpoe.study.trials.record import TrialRecord
from tests.reporting.conftest import PARAMETERS

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


def test_many_searched_fields_are_one_column_with_those_that_a_trial_has(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    focal, adjusted = Condition(one_of=("focal",)), Condition(one_of=("logit_adjustment",))
    search = {
        **spec.search,
        "experts.spread": dataclasses.replace(
            spec.search["experts.spread"], when={"loss.name": adjusted}
        ),
        "loss.name": CategoricalParameter(choices=("logit_adjustment", "focal")),
        "loss.gamma": FloatParameter(low=0.5, high=2.0, when={"loss.name": focal}),
        "training.weight_decay": FloatParameter(low=1e-4, high=1e-3),
    }
    wide = dataclasses.replace(spec, search=search)
    record = make_record(7)
    of_loss: dict[str, Choice] = {"loss.name": "focal", "loss.gamma": 1.5}
    others: dict[str, Choice] = {**record.parameters, "loss.name": "logit_adjustment"}
    records = [
        dataclasses.replace(record, parameters={**record.parameters, **of_loss}),
        dataclasses.replace(make_record(2), parameters=others),
    ]
    shown = lines(front_report(wide, records, records, exports=EXPORTS))
    assert max(map(len, shown)) <= 80
    words = " ".join(" ".join(shown).split())
    assert "loss focal, loss.gamma 1.5" in words.replace(" 93.3", "")
    assert words.count("loss.gamma") == 1


def test_a_floor_stands_beside_the_ece_of_the_front(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    records = [make_record(7), make_record(2)]
    floors = {7: {"val/ece": 0.0271}}
    shown = lines(front_report(spec, records, records, exports=EXPORTS, floors=floors))
    rows = [line.split() for line in shown if "independent" in line]
    assert [row[-2:] for row in rows] == [["2.7", "1"], ["–", "1"]]
    words = " ".join(" ".join(shown).split())
    assert "floor: mean ECE of perfectly calibrated predictions on the first seed" in words


@pytest.mark.parametrize("floors", [{}, {7: {}}, {7: {"val/balanced_ece": 0.1}}])
def test_without_the_floor_of_an_objective_there_is_no_column(
    spec: StudySpec,
    make_record: MakeRecord,
    lines: Lines,
    floors: Mapping[int, Mapping[str, float]],
) -> None:
    records = [make_record(7)]
    shown = lines(front_report(spec, records, records, exports=EXPORTS, floors=floors))
    assert "floor" not in " ".join(shown)


def test_a_floor_stands_beside_the_ece_of_a_known_point(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    point = dataclasses.replace(make_record(0), parameters=spec.points.points[0].parameters)
    records = [point, make_record(7, accuracy=0.99, ece=0.0312)]
    floors = {0: {"val/ece": 0.0333}, 7: {"val/ece": 0.0271}}
    shown = lines(front_report(spec, records[1:], records, exports=EXPORTS, floors=floors))
    gains = shown[next(i for i, line in enumerate(shown) if line.startswith("Gain")) :]
    assert max(map(len, gains)) <= 80
    assert gains[2].split() == ["value"]
    assert gains[3].split()[:4] == ["known", "point", "objective", "(floor)"]
    (accuracy, error) = [line for line in gains if "accuracy %" in line or "ECE %" in line][:2]
    assert "(" not in accuracy
    assert error.split()[2:4] == ["5.0", "(3.3)"]


def test_further_seeds_of_a_trial_turn_its_values_into_mean_and_spread(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    search = make_record(7, accuracy=0.92)
    seeds = [make_record(7, accuracy=accuracy, repeat=r) for r, accuracy in ((1, 0.93), (2, 0.94))]
    shown = lines(front_report(spec, [search], [search, *seeds], exports=EXPORTS))
    (row,) = [line.split() for line in shown if "independent" in line]
    assert row[5:] == ["93.0", "±1.0", "5.0", "±0.0", "3"]
    assert max(map(len, shown)) <= 80


def test_trials_that_were_not_shown_to_differ_share_a_letter(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    """The table states n and the smallest difference that could have been shown."""
    spec = dataclasses.replace(spec, repeats=5)
    noise = np.random.default_rng(0).normal(0, 0.005, (3, 5)).tolist()
    accuracies = {7: 0.93, 2: 0.93, 5: 0.88}
    records = [
        make_record(number, accuracy=accuracy + noise[place][repeat], repeat=repeat)
        for place, (number, accuracy) in enumerate(accuracies.items())
        for repeat in range(5)
    ]
    records.append(make_record(1, accuracy=0.99))
    front = [record for record in records if record.identity.repeat == 0]
    failed = make_record(1, "FAIL", repeat=1, failure="diverged")
    shown = lines(front_report(spec, front, [*records, failed], exports=EXPORTS))
    rows = [line.split() for line in shown if "independent" in line]
    assert {row[0]: row[-1] for row in rows} == {"7": "a", "2": "a", "5": "b", "1": "–"}
    text = " ".join(" ".join(shown).split())
    assert re.search(r"smallest difference that could have been shown: accuracy [12]\.\d %", text)
    assert "trial 1 repeat 1 failed, no further seed of it was trained: diverged" in shown
    assert max(map(len, shown)) <= 80


def test_with_too_few_seeds_no_difference_is_tested(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    records = [make_record(n, accuracy=0.9 + n / 100, repeat=r) for n in (1, 2) for r in range(3)]
    front = [record for record in records if record.identity.repeat == 0]
    shown = " ".join(lines(front_report(spec, front, records, exports=EXPORTS)))
    assert "differences: not tested" in shown
    assert "ordered by balanced accuracy; objectives on the validation split" in shown
    balanced = dataclasses.replace(spec, objectives={"val/balanced_accuracy": "maximize"})
    named = [
        dataclasses.replace(record, objectives={"val/balanced_accuracy": 0.9}) for record in records
    ]
    front = [record for record in named if record.identity.repeat == 0]
    shown = " ".join(lines(front_report(balanced, front, named, exports=EXPORTS)))
    assert "ordered by" not in shown
    assert "alike" not in shown


def test_the_next_commands_are_exact(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    records = [make_record(7), make_record(8, "FAIL", epochs=1)]
    shown = lines(front_report(spec, records[:1], records, exports=EXPORTS))
    assert shown[0] == "Pareto front of digits_lt: 2 trials, 1 failed"
    assert shown[-3:] == [
        "  balpoe export digits_lt --top 1",
        "  balpoe train runs/digits_lt/exports/rank_1_trial_0007.yaml --seeds 1,2,3",
        "  balpoe evaluate runs/models/digits_lt_rank_1_*",
    ]


def test_the_next_commands_compare_the_best_with_the_known_points(
    spec: StudySpec,
    make_record: MakeRecord,
    lines: Lines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ce, balanced, balpoe = (point.parameters for point in spec.points.points)
    records = [
        make_record(0, accuracy=0.80, ece=0.09, parameters=ce),
        make_record(1, "FAIL", parameters=balanced),
        make_record(2, accuracy=0.85, ece=0.09, parameters=balpoe),
        make_record(7, accuracy=0.93, ece=0.05),
    ]
    best = [records[-1]]
    assert lines(front_report(spec, best, records, exports=EXPORTS))[-3:] == [
        "  balpoe export digits_lt --top 1 --known-points",
        "  balpoe train runs/digits_lt/exports/*.yaml --seeds 1,2,3",
        "  balpoe evaluate runs/models/digits_lt_rank_1_* runs/models/digits_lt_known_*",
    ]
    # the only known point that could be trained is the best: there is nothing to compare
    alone = lines(front_report(spec, [records[2]], records[1:3], exports=EXPORTS))
    assert alone[-3] == "  balpoe export digits_lt --top 1"
    # a pattern would match an earlier export too
    monkeypatch.chdir(tmp_path)
    EXPORTS.mkdir(parents=True)
    (EXPORTS / "rank_1_trial_0003.yaml").touch()
    assert lines(front_report(spec, best, records, exports=EXPORTS))[-6:-1] == [
        "  balpoe train \\",
        "      runs/digits_lt/exports/rank_1_trial_0007.yaml \\",
        "      runs/digits_lt/exports/known_ce_trial_0000.yaml \\",
        "      runs/digits_lt/exports/known_balpoe_trial_0002.yaml \\",
        "      --seeds 1,2,3",
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
    assert any("infeasible: not" in line for line in shown)


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


def gain_rows(shown: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """The cells of the gains after the objective, by known point and objective."""
    rows, point = {}, ""
    for line in shown:
        cells = line.split()
        for objective in ("accuracy", "ECE"):
            if f"{objective} %  " in line:
                place = cells.index(objective)
                point = cells[0] if place else point
                rows[point, objective] = cells[place + 2 :]
    return rows


def test_with_one_seed_a_gain_is_not_tested(
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
    untested = ["–", "–", "0", "one", "seed:", "not", "tested"]
    assert gain_rows(shown) == {
        ("ce", "accuracy"): ["80.0", *untested],
        ("ce", "ECE"): ["9.0", *untested],
        ("balanced_softmax", "accuracy"): ["90.0", *untested],
        ("balanced_softmax", "ECE"): ["4.0", *untested],
        ("balpoe", "accuracy"): ["–", "–", "–", "0", "fail"],
        ("balpoe", "ECE"): ["–", "–", "–", "0", "fail"],
    }
    assert "better" not in " ".join(shown)
    assert max(map(len, shown)) <= 80


def test_equal_configurations_have_a_gain_of_0_however_many_seeds_each_has(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    """The means over all seeds differ by 4 points; on every shared seed the trials are equal."""
    ce = spec.points.points[0].parameters
    values = (0.80, 0.82, 0.84, 0.86, 0.88)
    best = [make_record(7, accuracy=value, repeat=r) for r, value in enumerate(values)]
    known = [
        make_record(0, accuracy=value, repeat=r, parameters=ce)
        for r, value in enumerate(values[:2])
    ]
    shown = lines(front_report(spec, best[:1], [*known, *best], exports=EXPORTS))
    value, _, gain, interval, n, *verdict = gain_rows(shown)["ce", "accuracy"]
    assert (value, gain, interval, n, verdict) == ("81.0", "+0.0", "–", "1", ["not", "tested"])


def test_a_gain_is_paired_over_fresh_seeds_with_interval_n_and_verdict(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    """Repeat 0, on which trial 7 was chosen, is 20 points better and changes nothing."""
    spec = dataclasses.replace(spec, repeats=5)
    ce = spec.points.points[0].parameters
    noise = np.random.default_rng(1).normal(0, 0.004, (2, 5)).tolist()
    records = [
        make_record(
            number,
            accuracy=0.8 + gain + noise[place][r] + 0.2 * (number == 7 and r == 0),
            ece=0.05 + 0.01 * noise[place][r],
            repeat=r,
            parameters=parameters,
        )
        for place, (number, gain, parameters) in enumerate([(0, 0.0, ce), (7, 0.05, None)])
        for r in range(5)
    ]
    records = [
        record if record.parameters else dataclasses.replace(record, parameters=PARAMETERS)
        for record in records
    ]
    best = next(record for record in records if record.identity.number == 7)
    shown = lines(front_report(spec, [best], records, exports=EXPORTS))
    rows = gain_rows(shown)
    mean = np.subtract(noise[1], noise[0])[1:].mean() + 0.05
    *_, gain, interval, n, verdict = rows["ce", "accuracy"]
    assert (gain, n, verdict) == (f"+{100 * mean:.1f}", "4", "better")
    low, high = map(float, interval.split(".."))
    assert 0 < low < float(gain) < high
    assert rows["ce", "ECE"][-2:] == ["not", "separable"]


def test_the_expected_effect_of_the_choice_is_stated(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    """Of 12 equal configurations the best on 300 images of accuracy 0.91: +2.7 ± 1.8 points."""
    records = [make_record(number, accuracy=0.9155 - number / 1000) for number in range(12)]
    shown = lines(
        front_report(spec, records[:1], records, exports=EXPORTS, validation_counts=[100] * 3)
    )
    text = " ".join(" ".join(shown).split())
    assert "the best of 12 equal configurations would be ahead of one of them by" in text
    assert "accuracy 2.7 ± 1.8 % (300 images)" in text


def test_a_known_point_that_the_study_cannot_try_is_named_with_the_reason(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    base = dataclasses.replace(spec.base, experts=ExpertsConfig(count=3, lambdas=(1.0, 0.0, -1.0)))
    alpha = {"mixup.alpha": spec.search["mixup.alpha"]}
    fixed = dataclasses.replace(spec, base=base, search=alpha)
    record = make_record(0)
    shown = lines(front_report(fixed, [record], [record], exports=EXPORTS))
    assert "known point ce was not tried: lambdas must be as many as count (1), got 3" in shown


def test_paths_in_commands_are_quoted_for_a_shell(
    spec: StudySpec, make_record: MakeRecord, lines: Lines
) -> None:
    records = [make_record(0)]
    shown = lines(front_report(spec, records, records, exports=Path("my runs/digits_lt/exports")))
    text = " ".join(shown)
    assert "train 'my runs/digits_lt/exports/rank_1_trial_0000.yaml' --seeds" in text
    assert "evaluate 'my runs/models/digits_lt'_rank_1_*" in text
