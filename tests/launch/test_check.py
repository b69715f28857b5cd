"""`balpoe check`: resolved settings, measured cost and warnings."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
import torch
from click.testing import CliRunner

import balpoe
from balpoe.cli.check import check as check_command
from balpoe.config import (
    BudgetConfig,
    Configuration,
    Constraint,
    FloatParameter,
    StudySpec,
    with_parameters,
)
from balpoe.data import load_search_splits
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.splits import ImageSet, SearchSplits
from balpoe.errors import DataError
from balpoe.files import load_study
from balpoe.launch.calibration_floors import objective_floors
from balpoe.launch.check import (
    _data_warnings,
    _space_problems,
    _weighting_warnings,
    _weightings,
    check,
)
from balpoe.study.execution.cost import StudyCost, TrialCost
from balpoe.study.execution.trial import TrialTask, run_trial
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.measurable_metrics import refuse_unmeasurable_metrics
from balpoe.study.trials.record import TrialIdentity

SHIPPED = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


class TinyStudy(Protocol):
    runs: Path
    file: Path
    spec: StudySpec
    directory: StudyDirectory


def _study(path: Path, data: str, *, name: str = "small") -> Path:
    path.write_text(
        f"name: {name}\n"
        f"data: {data}\n"
        "model: {backbone: resnet8}\n"
        "training: {epochs: 2, batch_size: 64}\n"
        "search: {experts.count: {type: int, low: 1, high: 2}}\n"
        "objectives: {val/accuracy: maximize}\n"
        "budget: {trials: 3}\n"
    )
    return path


def test_the_resolved_study_is_a_study_file_with_every_default(tiny_study: TinyStudy) -> None:
    report = check(tiny_study.file, runs=tiny_study.runs)
    resolved = tiny_study.runs.parent / "resolved.yaml"
    resolved.write_text(report.resolved)
    assert load_study(resolved) == report.spec
    assert "weight_decay: 0.0005" in report.resolved


def test_a_constraint_that_has_no_say_in_early_stopping_is_warned_of(tmp_path: Path) -> None:
    file = _study(tmp_path / "early.yaml", "{name: digits_lt}")
    with file.open("a") as text:
        text.write("early_stopping: {grace_epochs: 1}\n")
        text.write("constraints: {val/forward_10/ece: {at_most: 1}, val/ece: {at_most: 1}}\n")
    (warning,) = check(file, runs=tmp_path).warnings
    assert warning.startswith(
        "constraints.val/forward_10/ece: is measured after the last epoch only"
    )


def test_the_dearest_trial_has_the_most_experts_each_with_its_own_backbone(
    tiny_study: TinyStudy,
) -> None:
    cost = check(tiny_study.file, runs=tiny_study.runs).cost
    assert cost is not None
    assert cost.smallest.parameters == {"experts.count": 1, "experts.sharing": "shared"}
    assert cost.largest.parameters == {"experts.count": 3, "experts.sharing": "independent"}
    assert cost.largest.seconds > cost.smallest.seconds > 0


def test_how_many_stages_experts_own_is_a_part_of_the_cost(tmp_path: Path) -> None:
    owned = "experts.owned_stages: {type: int, low: 1, high: 3}"
    file = _study(tmp_path / "owned.yaml", "{name: digits_lt}", name="owned")
    file.write_text(file.read_text().replace("experts.count: {type: int, low: 1, high: 2}", owned))
    cost = check(file, runs=tmp_path).cost
    assert cost is not None
    assert cost.smallest.parameters == {"experts.owned_stages": 1}
    assert cost.largest.parameters == {"experts.owned_stages": 3}


def test_extremes_that_do_not_go_with_each_other_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each extreme fits the base, but no two fit each other, and the study did not try them."""
    for bound in ("_LARGEST_PRODUCT", "_MOST_TRIED"):
        monkeypatch.setattr(f"balpoe.config.combinations.{bound}", 0)
    file = _study(tmp_path / "clash.yaml", "{name: digits_lt}", name="clash")
    sizes = "training.batch_size: {type: int, low: 4, high: 8}"
    parts = "training.accumulate: {type: int, low: 16, high: 32}"
    text = file.read_text().replace(
        "experts.count: {type: int, low: 1, high: 2}", f"{sizes}, {parts}"
    )
    file.write_text(text)
    (problem,) = check(file, runs=tmp_path).problems
    assert re.match(r"search\.training\.\w+: neither its lowest nor its highest value", problem)


def test_a_trial_takes_no_more_space_than_was_foreseen(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    cost = check(tiny_study.file, runs=tiny_study.runs).cost
    assert cost is not None
    identity = TrialIdentity("tiny", 0)
    directory = StudyDirectory.of(tmp_path, "tiny").trial(identity)
    course = run_trial(TrialTask(tiny_study.spec, identity, cost.largest.parameters, directory))
    for _ in course:
        pass
    taken = sum(path.stat().st_size for path in directory.path.rglob("*") if path.is_file())
    assert taken <= cost.largest.disk_bytes
    # a training shorter than a minute writes one checkpoint of two
    assert taken > cost.largest.disk_bytes / 3


def test_room_for_the_first_seeds_alone_is_a_problem_where_further_ones_may_come(
    tiny_study: TinyStudy,
) -> None:
    trial = TrialCost({}, epochs=2, seconds=1.0, disk_bytes=10**9)
    cost = StudyCost(trial, trial, at_a_time=1)
    once = replace(tiny_study.spec, repeats=1)
    assert list(_space_problems(once, cost, 4 * 10**9, tiny_study.runs)) == []
    [problem] = _space_problems(replace(once, repeats=3), cost, 4 * 10**9, tiny_study.runs)
    assert "may need 12.0 GB, and 4.0 GB are free" in problem


def _calibrated(path: Path, per_class: int, objective: str) -> Path:
    """A study with 10 classes of `per_class` validation images, and this objective."""
    data = f"{{name: gaussian_lt, validation_per_class: {per_class}}}"
    file = _study(path / f"per_class_{per_class}.yaml", data)
    file.write_text(file.read_text().replace("{val/accuracy: max", f"{{{objective}: max"))
    return file


def test_a_calibration_error_has_its_floor_beside_it(tmp_path: Path) -> None:
    report = check(_calibrated(tmp_path, 30, "val/ece"), runs=tmp_path)
    (floor,) = report.floors
    assert (floor.objective, floor.images, floor.effective_images) == ("val/ece", 300, 300)
    assert floor.mean == pytest.approx(0.028, abs=0.002)
    assert floor.sd == pytest.approx(0.008, abs=0.001)
    assert report.warnings == ()
    shown = CliRunner().invoke(check_command, [str(tmp_path / "per_class_30.yaml")]).stdout
    line = f"{100 * floor.mean:.1f} ± {100 * floor.sd:.1f} % on 300 validation images"
    assert re.search(rf"^val/ece +floor {line} ", shown, re.MULTILINE)


@pytest.mark.parametrize("objective", ["val/ece", "val/mce"])
def test_a_floor_above_half_of_a_typical_value_is_warned_of(tmp_path: Path, objective: str) -> None:
    report = check(_calibrated(tmp_path, 10, objective), runs=tmp_path)
    (warning,) = report.warnings
    assert warning.startswith(f"objectives.{objective}: floor {100 * report.floors[0].mean:.1f} ±")
    assert "100 validation images" in warning
    assert "val/balanced_nll, a proper score" in warning


@pytest.mark.parametrize("objective", ["val/accuracy", "val/nll", "val/forward_10/accuracy"])
def test_few_images_are_no_problem_for_other_objectives(tmp_path: Path, objective: str) -> None:
    report = check(_calibrated(tmp_path, 1, objective), runs=tmp_path)
    assert report.floors == ()
    assert report.warnings == ()


def test_the_weights_of_a_shift_leave_fewer_images(tmp_path: Path) -> None:
    file = _calibrated(tmp_path, 30, "val/forward_10/ece")
    (floor,) = check(file, runs=tmp_path).floors
    weights = [10 ** (-y / 9) for y in range(10)]
    expected = 30 * sum(weights) ** 2 / sum(weight**2 for weight in weights)
    assert floor.effective_images == pytest.approx(expected, rel=1e-12)
    assert f"by their weights {expected:.0f}" in str(floor)
    assert floor.mean > 0.028


def test_on_an_unbalanced_validation_split_it_says_what_a_metric_weights(tmp_path: Path) -> None:
    file = _study(tmp_path / "small.yaml", "{name: digits_lt}")
    text = file.read_text().replace("val/accuracy: maximize", "OBJECTIVES")
    objectives = "val/accuracy: maximize, val/balanced_ece: minimize, val/accuracy_few: maximize"
    file.write_text(
        text.replace("OBJECTIVES", f"{objectives}, val/forward_10/ece: minimize")
        + "constraints: {val/balanced_nll: {at_most: 2}, parameters: {at_most: 1e9}}\n"
    )
    spec = load_study(file)
    splits = load_search_splits(spec.base.data)
    assert list(_weighting_warnings(spec, splits)) == list(_weightings(spec, splits)) == []
    kept = torch.arange(10, len(splits.validation))
    validation = ImageSet(splits.validation.images_nhwd[kept], splits.validation.labels_n[kept])
    validation.labels_n[:5] = 0
    unbalanced = SearchSplits(splits.train, validation, splits.description)
    why = "and has other values, as the validation split is not balanced"
    assert list(_weightings(spec, unbalanced)) == [
        f"val/accuracy    weights images; val/balanced_accuracy weights classes {why}",
        f"val/balanced_ece weights classes; val/ece weights images {why}",
        f"val/balanced_nll weights classes; val/nll weights images {why}",
    ]
    assert list(_weighting_warnings(spec, unbalanced)) == [
        "objectives.val/accuracy: weights images, and the validation split is not balanced: the "
        "metric of the papers, which test on balanced sets, is val/balanced_accuracy",
    ]


def test_sets_with_their_own_validation_split_are_not_told_to_increase_it(tmp_path: Path) -> None:
    file = _calibrated(tmp_path, 10, "val/ece")
    spec = load_study(file)
    labels_n = torch.arange(100) % 10
    for has_own, named in ((False, True), (True, False)):
        [floor] = objective_floors(spec, labels_n, [10] * 10, has_own)
        assert ("increase data.validation_per_class" in str(floor.warning)) == named
        assert "val/balanced_nll, a proper score, instead" in str(floor.warning)


def test_classes_without_a_validation_image_are_named(tmp_path: Path) -> None:
    spec = load_study(_study(tmp_path / "small.yaml", "{name: digits_lt}"))
    splits = load_search_splits(spec.base.data)
    kept = splits.validation.labels_n % 5 != 3
    validation = ImageSet(splits.validation.images_nhwd[kept], splits.validation.labels_n[kept])
    names = splits.description.class_names
    (missing,) = _data_warnings(SearchSplits(splits.train, validation, splits.description))
    assert missing == f"2 of 10 classes have no validation image: {names[3]}, {names[8]}"


def test_data_that_are_not_there_are_a_problem_and_end_with_status_2(tmp_path: Path) -> None:
    data = "{name: parquet, train: absent.parquet, test: absent_too.parquet}"
    file = _study(tmp_path / "absent.yaml", data)
    shown = CliRunner().invoke(check_command, [str(file)])
    assert shown.exit_code == 2
    assert "name: small" in shown.output
    assert "absent.parquet" in shown.output.partition("error: ")[2]


def test_a_change_that_a_launch_would_refuse_is_a_problem(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    shutil.copytree(tiny_study.directory.path, tmp_path / "tiny")
    changed = tmp_path / "changed.yaml"
    changed.write_text(tiny_study.file.read_text().replace("resnet8", "resnet14"))
    (problem,) = check(changed, runs=tmp_path).problems
    assert "model.backbone: was resnet8, is resnet14" in problem


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    file = _study(tmp_path / "small.yaml", "{name: digits_lt}")
    check(file, runs=tmp_path / "runs")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_is_checked(file: Path, tmp_path: Path) -> None:
    report = check(file, runs=tmp_path)
    if report.cost is None:  # data that are not shipped
        (problem,) = report.problems
        assert ".parquet" in problem
    else:
        assert not report.problems
        for trial in (report.cost.smallest, report.cost.largest):
            configuration = with_parameters(report.spec.base, trial.parameters)
            assert trial.epochs == configuration.training.epochs


@pytest.mark.parametrize(
    ("objective", "problem"),
    [
        ("val/class/o ne/recall", '"o ne" is no class of the data; the first is "0"'),
        ("val/top_5_accuracy", "is computed for 100 classes and more, the data have 10: give"),
    ],
)
def test_metrics_that_the_data_do_not_define_are_refused_by_check_and_run(
    tmp_path: Path, objective: str, problem: str
) -> None:
    file = _study(tmp_path / "a.yaml", "{name: digits_lt}")
    file.write_text(file.read_text().replace("val/accuracy:", f"{objective}:"))
    (found,) = check(file, runs=tmp_path).problems
    assert found.startswith(f"objectives.{objective}: {problem}")
    with pytest.raises(DataError, match=re.escape(problem)):
        balpoe.run(file, runs=tmp_path)


def test_a_class_without_validation_images_has_no_recall() -> None:
    splits = load_search_splits(DigitsLT())
    kept = splits.validation.labels_n != 3
    validation = ImageSet(splits.validation.images_nhwd[kept], splits.validation.labels_n[kept])
    spec = StudySpec(
        name="a",
        base=Configuration(data=DigitsLT()),
        search={"mixup.alpha": FloatParameter(low=0.0, high=1.0)},
        objectives={"val/accuracy": "maximize"},
        constraints={"val/class/3/recall": Constraint(at_least=0.5)},
        budget=BudgetConfig(trials=1),
    )
    refuse_unmeasurable_metrics(spec, splits)
    without = SearchSplits(splits.train, validation, splits.description)
    with pytest.raises(DataError, match=r"constraints\.val/class/3/recall: the class has no valid"):
        refuse_unmeasurable_metrics(spec, without)


def test_costs_of_other_classes_are_refused_with_the_line_of_the_file(tmp_path: Path) -> None:
    names = [*map(str, range(9)), "nine"]
    rows = [",".join([name, *(str(int(name != other)) for other in names)]) for name in names]
    costs = tmp_path / "costs.csv"
    costs.write_text("\n".join([",".join(["", *names]), *rows]))
    file = _study(tmp_path / "a.yaml", "{name: digits_lt}")
    with file.open("a") as text:
        text.write(f"cost: {costs}\n")
    (found,) = check(file, runs=tmp_path).problems
    assert found.splitlines() == [
        f'{costs}:11: "nine" is no class of the data',
        f'{costs}:1: the class "9" has no costs: add its row and its column',
    ]
    with pytest.raises(DataError, match=re.escape(found)):
        balpoe.run(file, runs=tmp_path)
