"""Exports of made-up trials, read back from their files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Configuration,
    ExpertsConfig,
    FinalConfig,
    FloatParameter,
    StudySpec,
    TrainingConfig,
    to_plain,
    with_parameters,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.folder import ImageFolder
from balpoe.errors import StorageError, UserError
from balpoe.exporting.export import ExportReport, export_best
from balpoe.exporting.export_files import (
    exported_configurations,
    exported_trials,
    read_exported_trial,
)
from balpoe.exporting.preference import Preference
from balpoe.files import configuration_from_plain, load_configuration
from balpoe.study.trials.environment import Environment
from balpoe.study.trials.launch_log import Launch
from balpoe.study.trials.record import TrialIdentity, TrialRecord, TrialState
from balpoe.training.epoch import EpochResult

SPEC = StudySpec(
    name="digits_lt",
    base=Configuration(data=DigitsLT(), training=TrainingConfig(epochs=20)),
    search={
        "mixup.alpha": FloatParameter(low=0.0, high=1.0),
        "experts.sharing": CategoricalParameter(choices=("shared", "independent")),
    },
    objectives={"val/accuracy": "maximize", "val/ece": "minimize"},
    budget=BudgetConfig(trials=8),
)
LAUNCHES = tuple(
    Launch(number, started, "host", Environment({"torch": version}, commit, "ada"), {})
    for number, (started, version, commit) in enumerate(
        [
            (1_789_999_999.0, "2.15.0", "c0ffee-dirty"),
            (1_790_000_061.0, "2.16.0", "deca0ded"),
        ]
    )
)


def _record(
    number: int, accuracy: float, ece: float, state: TrialState = "COMPLETE", repeat: int = 0
) -> TrialRecord:
    metrics = {"val/accuracy": accuracy, "val/ece": ece}
    balanced = {"val/balanced_accuracy": accuracy, "val/balanced_ece": ece}
    complete = state == "COMPLETE"
    return TrialRecord(
        identity=TrialIdentity("digits_lt", number, repeat),
        parameters={"mixup.alpha": number / 8, "experts.sharing": "independent"},
        state=state,
        history=(EpochResult(1, 1_790_000_000.0, metrics | balanced),),
        objectives=metrics if complete else None,
        failure=None if complete else "NonFiniteError: loss",
        data_fingerprint="sha256:0123",
        started=1_790_000_000.0,
        ended=1_790_000_060.0,
    )


def _export(records: Sequence[TrialRecord], directory: Path, top: int = 1) -> ExportReport:
    return export_best(SPEC, records, top=top, directory=directory, launches=LAUNCHES)


RECORDS = (
    _record(0, accuracy=0.90, ece=0.05),
    _record(1, accuracy=0.93, ece=0.09),
    _record(2, accuracy=0.85, ece=0.07),  # dominated by trial 0
    _record(3, accuracy=0.88, ece=0.02),
    _record(4, accuracy=0.99, ece=0.01, state="FAIL"),
)


def test_the_front_is_written_by_accuracy_and_a_dominated_or_failed_trial_never(
    tmp_path: Path,
) -> None:
    report = _export(RECORDS, tmp_path, top=2)
    assert [export.path.name for export in report.exports] == [
        "rank_1_trial_0001.yaml",
        "rank_2_trial_0000.yaml",
    ]
    assert report.front == 3


def test_a_trial_that_breaks_a_constraint_is_never_exported(tmp_path: Path) -> None:
    broken = {"val/accuracy_few >= 0.2": 0.5}
    infeasible = [dataclasses.replace(record, violations=broken) for record in RECORDS[:4]]
    report = _export([infeasible[1], RECORDS[0]], tmp_path, top=2)
    assert [export.path.name for export in report.exports] == ["rank_1_trial_0000.yaml"]
    with pytest.raises(
        UserError, match=r"every COMPLETE trial breaks a constraint \(val/accuracy_few >= 0\.2\)"
    ):
        _export(infeasible, tmp_path)


def test_equal_accuracies_are_ranked_by_calibration_error(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, objectives={"val/accuracy": "maximize"})
    records = [_record(0, accuracy=0.9, ece=0.05), _record(1, accuracy=0.9, ece=0.04)]
    report = export_best(spec, records, top=1, directory=tmp_path, launches=LAUNCHES)
    assert [export.evidence.trial for export in report.exports] == [1]


def test_a_smaller_front_than_asked_for_is_told(tmp_path: Path) -> None:
    report = _export(RECORDS, tmp_path, top=5)
    assert (len(report.exports), report.asked, report.front) == (3, 5, 3)


def test_the_file_reads_back_as_the_study_base_with_the_searched_parameters(
    tmp_path: Path,
) -> None:
    (export,) = _export(RECORDS, tmp_path).exports
    configuration = load_configuration(export.path)
    assert configuration.mixup.alpha == 1 / 8
    assert configuration.experts.sharing == "independent"
    assert dataclasses.replace(configuration, mixup=SPEC.base.mixup) == dataclasses.replace(
        SPEC.base, experts=configuration.experts
    )


def test_the_comment_and_the_provenance_state_the_same_evidence(tmp_path: Path) -> None:
    repeats = [_record(1, accuracy=0.95, ece=0.07, repeat=1)]
    (export,) = _export([*RECORDS, *repeats], tmp_path).exports
    comment = export.path.read_text()
    provenance = json.loads(export.provenance.read_text())
    assert export.provenance.name == "rank_1_trial_0001.provenance.json"
    assert "Trial 1 of the study digits_lt: rank 1" in comment
    assert "val/accuracy: 0.9400 ± 0.0141 (n = 2 seeds)" in comment
    assert "2026-09-21T14:14:20+00:00" in comment
    assert provenance["format"] == 4
    assert provenance["objectives"]["val/accuracy"]["mean"] == pytest.approx(0.94)
    assert provenance["objectives"]["val/accuracy"]["n"] == 2
    assert provenance["searched"] == {"mixup.alpha": 0.125, "experts.sharing": "independent"}
    for value in ("sha256:0123", "c0ffee-dirty", "2.15.0"):
        assert value in comment
        assert value in export.provenance.read_text()
    assert "deca0ded" not in comment  # the trial had ended before that launch


def test_the_final_recipe_is_what_the_file_holds_and_both_recipes_are_stated(
    tmp_path: Path,
) -> None:
    final = FinalConfig(training={"epochs": 60, "augmentation.flip": True}, seeds=(4, 5))
    spec = dataclasses.replace(SPEC, final=final)
    report = export_best(spec, RECORDS, top=1, directory=tmp_path, launches=LAUNCHES)
    (export,) = report.exports
    comment, configuration = export.path.read_text(), load_configuration(export.path)
    assert (configuration.training.epochs, configuration.training.augmentation.flip) == (60, True)
    assert configuration.mixup.alpha == 1 / 8
    assert "with the seeds 4, 5" in comment
    assert "training.epochs: 20; here: 60" in comment
    assert "training.augmentation.flip: false; here: true" in comment
    provenance = json.loads(export.provenance.read_text())
    assert provenance["final"]["training.epochs"] == {"searched": 20, "final": 60}
    assert provenance["final_configuration"] == to_plain(configuration)
    searched = configuration_from_plain(provenance["searched_configuration"], "provenance")
    assert searched == with_parameters(SPEC.base, RECORDS[1].parameters)


def test_a_recipe_without_the_validation_split_is_in_the_exported_configuration(
    tmp_path: Path,
) -> None:
    birds = ImageFolder(root=str(tmp_path / "birds"))
    spec = dataclasses.replace(SPEC, base=dataclasses.replace(SPEC.base, data=birds))
    for uses_validation in (True, False):
        final = FinalConfig(use_validation=uses_validation)
        (export,) = export_best(
            dataclasses.replace(spec, final=final),
            RECORDS,
            top=1,
            directory=tmp_path,
            launches=LAUNCHES,
        ).exports
        configuration = load_configuration(export.path)
        assert isinstance(configuration.data, ImageFolder)
        assert configuration.data.final_uses_validation is uses_validation
        assert ("final_uses_validation: false" in export.path.read_text()) is not uses_validation
        exported = read_exported_trial(export.path)
        assert configuration_from_plain(exported.final_configuration, "") == configuration
        searched = configuration_from_plain(exported.searched_configuration, "")
        assert searched.data == birds


def test_without_a_final_recipe_the_file_holds_what_was_searched(tmp_path: Path) -> None:
    (export,) = _export(RECORDS, tmp_path).exports
    assert "To be trained as it was searched" in export.path.read_text()
    assert export.evidence.final_configuration == export.evidence.searched_configuration


def test_exporting_again_gives_the_same_bytes(tmp_path: Path) -> None:
    _export(RECORDS, tmp_path / "once", top=3)
    _export(RECORDS, tmp_path / "again", top=3)
    _export(RECORDS, tmp_path / "again", top=3)
    once = {path.name: path.read_bytes() for path in (tmp_path / "once").iterdir()}
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert once == again
    assert len(once) == 6


def test_files_of_an_earlier_ranking_are_kept_and_named(tmp_path: Path) -> None:
    _export(RECORDS, tmp_path)
    better = _record(7, accuracy=0.97, ece=0.01)
    report = _export([*RECORDS, better], tmp_path)
    assert [export.path.name for export in report.exports] == ["rank_1_trial_0007.yaml"]
    assert [path.name for path in report.earlier] == ["rank_1_trial_0001.yaml"]
    assert report.earlier[0].exists()


def test_a_study_without_a_complete_trial_is_refused_by_what_it_has(tmp_path: Path) -> None:
    failed = [_record(0, 0.9, 0.1, "FAIL"), _record(1, 0.9, 0.1, "FAIL")]
    with pytest.raises(UserError, match=r"digits_lt: no trial is COMPLETE \(2 FAIL\)"):
        _export(failed, tmp_path / "exports")
    assert not (tmp_path / "exports").exists()


def test_asking_for_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--top: must be at least 1, got 0"):
        _export(RECORDS, tmp_path, top=0)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("a file is in the way")
    with pytest.raises(StorageError, match="exports"):
        _export(RECORDS, tmp_path / "exports")


def test_the_order_is_that_of_the_means_over_further_seeds(tmp_path: Path) -> None:
    further = (_record(1, accuracy=0.85, ece=0.00, repeat=1),)  # means of 0.89 and 0.045
    report = _export([*RECORDS, *further], tmp_path, top=3)
    assert [export.evidence.trial for export in report.exports] == [0, 1, 3]
    further = (_record(1, accuracy=0.85, ece=0.09, repeat=1),)  # dominated by trial 0
    report = _export([*RECORDS, *further], tmp_path, top=3)
    assert [export.evidence.trial for export in report.exports] == [0, 3]


def test_a_preference_orders_the_front_and_is_stated(tmp_path: Path) -> None:
    expression = "val/accuracy - 2*val/ece"
    report = export_best(
        SPEC,
        RECORDS,
        top=3,
        directory=tmp_path,
        launches=LAUNCHES,
        preference=Preference(expression),
    )
    assert [export.evidence.trial for export in report.exports] == [3, 0, 1]
    comment = report.exports[0].path.read_text().replace("#", " ")
    assert f"by {expression}." in " ".join(comment.split())
    provenance = json.loads(report.exports[0].provenance.read_text())
    assert provenance["ordered_by"] == expression


def test_differences_are_stated_with_n_intervals_and_verdicts(tmp_path: Path) -> None:
    """n counts the seeds after the one on which the trials were chosen."""
    spec = dataclasses.replace(SPEC, repeats=5)
    noise = np.random.default_rng(0).normal(0, 0.004, (2, 5, 2)).tolist()
    records = [
        _record(
            number,
            accuracy=0.9 - number / 10 + noise[number][repeat][0],
            ece=0.05 + noise[number][repeat][1],
            repeat=repeat,
        )
        for number in (0, 1)
        for repeat in range(5)
    ]
    records += [_record(2, accuracy=0.5, ece=0.01), _record(3, accuracy=0.4, ece=0.5)]
    report = export_best(spec, records, top=1, directory=tmp_path, launches=LAUNCHES)
    [export] = report.exports
    provenance = json.loads(export.provenance.read_text())
    [near, untested] = provenance["comparisons"]  # trial 3 is dominated and has one seed
    assert (near["trial"], near["n"], near["verdict"]) == (1, 4, "separable")
    accuracy = near["objectives"]["val/accuracy"]
    fresh = np.subtract(noise[0], noise[1])[1:, 0]
    assert accuracy["difference"] == pytest.approx(fresh.mean() + 0.1)
    assert 0 < accuracy["low"] < 0.1 < accuracy["high"]
    assert accuracy["smallest"] == pytest.approx((accuracy["high"] - accuracy["low"]) / 2)
    assert near["objectives"]["val/ece"]["verdict"] == "not separable"
    assert (untested["trial"], untested["n"], untested["verdict"]) == (2, 0, "not tested")
    assert untested["objectives"]["val/ece"]["difference"] is None
    comment = " ".join(export.path.read_text().replace("#", " ").split())
    assert f"separable from 1 (n = 4): val/accuracy {accuracy['difference']:+.4f} (" in comment
    assert "not tested from 2 (n = 0)" in comment


def _at_point(record: TrialRecord, name: str) -> TrialRecord:
    [point] = [point for point in SPEC.points.points if point.name == name]
    return dataclasses.replace(record, parameters=point.parameters)


def _with_points(records: Sequence[TrialRecord], directory: Path) -> ExportReport:
    return export_best(
        SPEC, records, top=1, directory=directory, launches=LAUNCHES, known_points=True
    )


POINTS = (
    _at_point(_record(10, accuracy=0.70, ece=0.20), "ce"),
    _at_point(_record(11, accuracy=0.80, ece=0.10), "balanced_softmax"),
    _at_point(_record(12, accuracy=0.90, ece=0.06), "balpoe"),
)


def test_known_points_are_exported_beside_the_winner_with_their_own_names(tmp_path: Path) -> None:
    report = _with_points([*RECORDS, *POINTS], tmp_path)
    assert [export.path.name for export in report.written] == [
        "rank_1_trial_0001.yaml",
        "known_ce_trial_0010.yaml",
        "known_balanced_softmax_trial_0011.yaml",
        "known_balpoe_trial_0012.yaml",
    ]
    assert report.left_out == {}
    assert exported_configurations(tmp_path) == sorted(export.path for export in report.written)
    balpoe = report.known_points["balpoe"]
    configuration = load_configuration(balpoe.path)
    assert (configuration.experts.count, configuration.mixup.alpha) == (3, 0.4)
    assert read_exported_trial(balpoe.path).trial == 12
    assert dict(exported_trials(tmp_path))[balpoe.provenance.name] == 12


def test_a_known_point_is_stated_as_one_and_not_as_a_rank(tmp_path: Path) -> None:
    export = _with_points([*RECORDS, *POINTS], tmp_path).known_points["balpoe"]
    comment = " ".join(export.path.read_text().replace("#", " ").split())
    assert "the known point balpoe, one of 7 COMPLETE trials." in comment
    assert "rank" not in comment
    provenance = json.loads(export.provenance.read_text())
    assert (provenance["rank"], provenance["ordered_by"]) == (None, None)
    assert provenance["known_point"] == "balpoe"
    assert {each["trial"] for each in provenance["comparisons"]} == {0, 1, 3}


def test_a_winner_that_is_a_known_point_is_written_once_and_says_so(tmp_path: Path) -> None:
    report = _with_points([_record(2, accuracy=0.85, ece=0.07), *POINTS], tmp_path)
    [winner] = report.exports
    assert report.known_points["balpoe"] is winner
    assert winner.path.name == "rank_1_trial_0012.yaml"
    assert "It is the known point balpoe." in winner.path.read_text()
    assert len(report.written) == 3


def test_two_names_of_one_trial_share_its_file(tmp_path: Path) -> None:
    balpoe = SPEC.known_points["balpoe"]
    spec = dataclasses.replace(SPEC, known_points={"ours": balpoe, "theirs": balpoe})
    report = export_best(
        spec,
        [*RECORDS, POINTS[2]],
        top=1,
        directory=tmp_path,
        launches=LAUNCHES,
        known_points=True,
    )
    assert report.known_points["ours"] is report.known_points["theirs"]
    assert report.written[1].path.name == "known_ours_trial_0012.yaml"


def test_known_points_that_cannot_be_exported_are_named_with_the_reason(tmp_path: Path) -> None:
    ce, balanced, balpoe = POINTS
    infeasible = dataclasses.replace(ce, violations={"val/accuracy_few >= 0.2": 0.5})
    failed = dataclasses.replace(balanced, state="FAIL", objectives=None, failure="diverged")
    report = _with_points([*RECORDS, infeasible, failed], tmp_path)
    assert report.known_points == {}
    assert report.left_out == {
        "ce": "trial 10 breaks val/accuracy_few >= 0.2",
        "balanced_softmax": "trial 11 is FAIL: diverged",
        "balpoe": "it was not tried",
    }
    pruned = dataclasses.replace(balpoe, state="PRUNED", objectives=None)
    running = dataclasses.replace(balanced, state="RUNNING", objectives=None, ended=None)
    report = _with_points([*RECORDS, ce, pruned, running], tmp_path)
    assert list(report.known_points) == ["ce"]
    assert report.left_out == {
        "balanced_softmax": "trial 11 is RUNNING",
        "balpoe": "trial 12 is PRUNED",
    }
    base = dataclasses.replace(SPEC.base, experts=ExpertsConfig(count=3, lambdas=(1.0, 0.0, -1.0)))
    spec = dataclasses.replace(
        SPEC, base=base, search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)}
    )
    report = export_best(
        spec, RECORDS, top=1, directory=tmp_path, launches=LAUNCHES, known_points=True
    )
    assert "lambdas must be as many as count" in report.left_out["ce"]


def test_without_the_option_no_known_point_is_written_and_none_is_missing(tmp_path: Path) -> None:
    _with_points([*RECORDS, *POINTS], tmp_path)
    report = _export([*RECORDS, *POINTS], tmp_path)
    assert (report.known_points, report.left_out) == ({}, {})
    assert [path.name for path in report.earlier] == [
        "known_balanced_softmax_trial_0011.yaml",
        "known_balpoe_trial_0012.yaml",
        "known_ce_trial_0010.yaml",
    ]
