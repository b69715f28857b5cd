"""Real trainings of the scanned digits, without Ray."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch

from balpoe.config import Choice, Constraint, CostMatrix, StudySpec
from balpoe.data import load_search_splits
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import CorruptFile, DataError, NonFiniteError
from balpoe.study.execution.trial import Course, TrialTask, run_trial
from balpoe.study.trials.attempt_check import SupersededError
from balpoe.study.trials.attempts_file import read_attempts
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import Attempt, TrialIdentity
from balpoe.study.trials.result_file import read_result, training_seed
from balpoe.training import training
from balpoe.training.epoch import EpochResult
from balpoe.training.precision import number_format
from balpoe.training.predictions_file import read_predictions

MakeSpec = Callable[..., StudySpec]
PARAMETERS: Mapping[str, Choice] = {
    "experts.spread": 1.0,
    "experts.sharing": "shared",
    "experts.count": 2,
}


def _task(spec: StudySpec, directory: StudyDirectory, attempt: int = 0) -> TrialTask:
    identity = TrialIdentity("digits", 0, attempt=attempt)
    return TrialTask(spec, identity, PARAMETERS, directory.trial(identity))


def _run(course: Course) -> tuple[list[EpochResult], Mapping[str, float]]:
    epochs = []
    while True:
        try:
            epochs.append(next(course))
        except StopIteration as end:
            return epochs, end.value


def test_a_trial_is_worth_its_last_epoch_and_leaves_a_record_that_agrees(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    task = _task(make_spec(), directory)
    epochs, objectives = _run(run_trial(task))
    assert [result.epoch for result in epochs] == [1, 2, 3]
    assert objectives == {name: epochs[-1].metrics[name] for name in task.spec.objectives}
    assert read_metrics(task.directory.metrics) == tuple(epochs)
    predictions = read_predictions(task.directory.predictions)
    assert predictions.logits_nec.shape == (300, 2, 10)
    hits = predictions.logits_nec.mean(axis=1).argmax(axis=1) == predictions.labels_n
    assert hits.mean() == pytest.approx(objectives["val/accuracy"])
    result = read_result(task.directory)
    assert result.objectives == objectives
    assert result.parameters == PARAMETERS
    assert result.seed == training_seed(task.spec.seed, 0)
    description = load_search_splits(task.spec.base.data).description
    assert result.data_fingerprint == description.fingerprint
    assert result.class_counts == description.class_counts
    assert result.precision == number_format(task.spec.base.training.precision, torch.device("cpu"))


def test_a_trial_that_is_left_continues_and_ends_as_if_it_had_not_been(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    whole = replace(directory, path=directory.path / "whole")
    _, expected = _run(run_trial(_task(make_spec(), whole)))
    course = run_trial(_task(make_spec(), directory))
    first = next(course)
    course.close()
    task = _task(make_spec(), directory, attempt=1)
    assert read_metrics(task.directory.metrics) == (first,)
    epochs, objectives = _run(run_trial(task))
    assert [result.epoch for result in epochs] == [2, 3]
    assert objectives == expected
    assert [result.epoch for result in read_metrics(task.directory.metrics)] == [1, 2, 3]


def test_every_attempt_leaves_its_host_gpus_and_start_and_the_result_vouches_for_them(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    first = replace(_task(make_spec(), directory), now=lambda: 50.0, gpus=("GPU-1a", "GPU-2b"))
    course = run_trial(first)
    next(course)
    host = socket.gethostname()
    expected = [Attempt(0, 50.0, host, ("GPU-1a", "GPU-2b"))]
    assert list(read_attempts(first.directory)) == expected
    course.close()
    second = replace(_task(make_spec(), directory, attempt=2), now=lambda: 90.0)
    _run(run_trial(second))
    expected.append(Attempt(2, 90.0, host))
    assert list(read_attempts(first.directory)) == expected
    assert "attempts.json" in read_result(first.directory).files
    _run(run_trial(second))  # its result is there: no attempt begins
    assert list(read_attempts(first.directory)) == expected
    content = first.directory.attempts.read_text()
    first.directory.attempts.write_text(content.replace("90.0", "91.0"))
    with pytest.raises(CorruptFile, match=r"attempts\.json: damaged or changed"):
        read_result(first.directory)
    first.directory.attempts.write_text(content.replace('"format": 1', '"format": 2'))
    with pytest.raises(CorruptFile, match=r"attempts\.json: has format 2"):
        read_attempts(first.directory)
    third = replace(_task(make_spec(), directory, attempt=3), now=lambda: 95.0)
    _run(run_trial(third))
    assert list(read_attempts(first.directory)) == [Attempt(3, 95.0, host)]
    read_result(first.directory)


def test_the_metrics_are_on_disk_with_every_checkpoint_and_however_a_trial_ends(
    make_spec: MakeSpec, directory: StudyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    task = _task(make_spec(), directory)
    course = run_trial(task)
    epochs = [next(course)]
    assert read_metrics(task.directory.metrics) == tuple(epochs)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 3600.0)
    epochs.append(next(course))
    assert read_metrics(task.directory.metrics) == tuple(epochs[:1])
    with pytest.raises(MemoryError):
        course.throw(MemoryError)
    assert read_metrics(task.directory.metrics) == tuple(epochs)


def test_a_trial_whose_result_is_on_disk_is_not_trained_again(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    _, objectives = _run(run_trial(_task(make_spec(), directory)))
    again = _task(make_spec(), directory, attempt=1)
    written = again.directory.result.stat().st_mtime_ns
    assert _run(run_trial(again)) == ([], objectives)
    assert again.directory.result.stat().st_mtime_ns == written


def test_a_trial_whose_record_is_damaged_is_recorded_anew_from_its_checkpoint(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    task = _task(make_spec(), directory)
    _, objectives = _run(run_trial(task))
    task.directory.predictions.write_bytes(b"")
    assert _run(run_trial(task)) == ([], objectives)
    assert read_result(task.directory).objectives == objectives


def test_a_trial_that_diverges_is_refused_and_leaves_no_result(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec()
    training = replace(spec.base.training, learning_rate=1e30)
    task = _task(replace(spec, base=replace(spec.base, training=training)), directory)
    with pytest.raises(NonFiniteError, match="smaller learning rate"):
        _run(run_trial(task))
    assert not task.directory.result.exists()


def test_an_objective_that_the_data_do_not_have_is_refused(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(objectives={"val/accuracy_few": "maximize"})
    balanced = replace(spec, base=replace(spec.base, data=DigitsLT(imbalance_ratio=1)))
    with pytest.raises(NonFiniteError, match="val/accuracy_few is missing"):
        _run(run_trial(_task(balanced, directory)))


def test_the_seed_depends_on_study_seed_and_repeat_only() -> None:
    seeds = {training_seed(study, repeat) for study in range(20) for repeat in range(20)}
    assert len(seeds) == 400


def test_an_attempt_that_was_given_up_and_wakes_changes_nothing_of_its_successors(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec()
    zombie = run_trial(_task(spec, directory, attempt=0))
    next(zombie)
    task = _task(spec, directory, attempt=1)
    _, objectives = _run(run_trial(task))
    files = (task.directory.metrics, task.directory.predictions, task.directory.result)
    before = [path.read_bytes() for path in files]
    with pytest.raises(SupersededError):
        next(zombie)
    assert [path.read_bytes() for path in files] == before
    assert read_result(task.directory).objectives == objectives


def test_a_frozen_attempt_that_is_closed_when_it_wakes_leaves_the_metrics_alone(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec()
    zombie = run_trial(_task(spec, directory, attempt=0))
    next(zombie)
    task = _task(spec, directory, attempt=1)
    _run(run_trial(task))
    zombie.close()
    assert len(read_metrics(task.directory.metrics)) == 3
    read_result(task.directory)


def test_recalls_and_costs_are_objectives_and_constraints(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    digits = tuple(map(str, range(10)))
    costs = CostMatrix(
        classes=digits, rows=tuple(tuple(float(3 * (i != j)) for j in range(10)) for i in range(10))
    )
    spec = make_spec(
        base=replace(make_spec().base, cost=costs),
        objectives={"val/class/9/recall": "maximize", "val/expected_cost": "minimize"},
        constraints={"val/class/0/recall": Constraint(at_least=0.1)},
    )
    task = _task(spec, directory)
    epochs, objectives = _run(run_trial(task))
    predictions = read_predictions(task.directory.predictions)
    predicted_n = predictions.logits_nec.astype("float64").mean(axis=1).argmax(axis=1)
    nines = predictions.labels_n == 9
    assert objectives["val/class/9/recall"] == (predicted_n[nines] == 9).mean()
    errors = (predicted_n != predictions.labels_n).mean()
    assert objectives["val/expected_cost"] == pytest.approx(3 * errors)
    assert all("val/class/0/recall" in epoch.metrics for epoch in epochs)
    assert not any("val/class/1/recall" in epoch.metrics for epoch in epochs)


def test_a_recall_of_no_class_ends_a_trial_before_it_begins(
    make_spec: MakeSpec, directory: StudyDirectory
) -> None:
    spec = make_spec(objectives={"val/class/nine/recall": "maximize"})
    with pytest.raises(DataError, match=r'objectives\.val/class/nine/recall: "nine" is no class'):
        _run(run_trial(_task(spec, directory)))
