"""`balpoe doctor` on a sound study and on every kind of damage."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import optuna
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Run

from balpoe.cli.doctor import doctor as doctor_command
from balpoe.errors import UserError
from balpoe.launch.doctor import doctor
from balpoe.launch.runs import find_study
from balpoe.launch.sync import sync
from balpoe.study.records.ledger import Ledger
from balpoe.study.storage.lease import hold_lease
from balpoe.study.trials.directory import StudyDirectory, TrialDirectory
from balpoe.study.trials.metrics_file import read_metrics, write_metrics
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.result_file import read_result, write_result


class TinyStudy(Protocol):
    runs: Path


@dataclass(frozen=True)
class Patient:
    """A copy of the tiny study and its mirror, to be damaged."""

    runs: Path

    @property
    def directory(self) -> StudyDirectory:
        return StudyDirectory.of(self.runs, "tiny")

    def trial(self, number: int) -> TrialDirectory:
        return self.directory.trial(TrialIdentity("tiny", number))

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.runs / 'mlflow.db'}")

    def run_of(self, number: int) -> Run:
        experiment = self.client.get_experiment_by_name("tiny")
        assert experiment is not None
        condition = f"tags.role = 'trial' and tags.number = '{number}'"
        [run] = self.client.search_runs([experiment.experiment_id], condition)
        return run

    def faults(self) -> dict[str, tuple[str, ...]]:
        return {
            check.name: check.faults for check in doctor("tiny", runs=self.runs) if check.faults
        }


@pytest.fixture(scope="module")
def mirrored(tiny_study: TinyStudy) -> TinyStudy:
    sync("tiny", runs=tiny_study.runs)
    return tiny_study


@pytest.fixture
def patient(mirrored: TinyStudy, tmp_path: Path) -> Patient:
    shutil.copytree(mirrored.runs, tmp_path / "runs")
    return Patient(tmp_path / "runs")


def flip_a_bit(patient: Patient) -> None:
    path = patient.trial(0).predictions
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def lose_a_result(patient: Patient) -> None:
    patient.trial(1).result.unlink()


def lose_the_curve_of_a_pruned_trial(patient: Patient) -> None:
    spec, directory = find_study("tiny", patient.runs)
    objectives = {"val/accuracy": 0.5, "val/ece": 0.1}
    Ledger(spec, directory).prune(TrialIdentity("tiny", 3), 1, objectives)
    patient.trial(3).metrics.unlink()


def change_the_parameters(patient: Patient) -> None:
    directory = patient.trial(0)
    result = read_result(directory)
    changed = {**result.parameters, "experts.count": 7}
    write_result(directory, replace(result, parameters=changed))


def change_the_value(patient: Patient) -> None:
    directory = patient.trial(0)
    result = read_result(directory)
    write_result(directory, replace(result, objectives={**result.objectives, "val/ece": 0.0}))


def change_the_seed(patient: Patient) -> None:
    directory = patient.trial(0)
    result = read_result(directory)
    write_result(directory, replace(result, seed=7))


def repeat_a_failed_trial(patient: Patient) -> None:
    patient.directory.trial(TrialIdentity("tiny", 2, repeat=1)).create()


def lose_an_epoch(patient: Patient) -> None:
    """Damage the unfinished trial: its file has no checksum yet."""
    path = patient.trial(3).metrics
    [first] = read_metrics(path)
    write_metrics(path, [first, replace(first, epoch=3)])


def lose_a_run(patient: Patient) -> None:
    patient.client.delete_run(patient.run_of(0).info.run_id)


def double_a_run(patient: Patient) -> None:
    run = patient.run_of(0)
    patient.client.create_run(run.info.experiment_id, tags=dict(run.data.tags))


def double_an_epoch(patient: Patient) -> None:
    patient.client.log_metric(patient.run_of(0).info.run_id, "train/loss", 9.0, step=1)


def log_another_parameter(patient: Patient) -> None:
    patient.client.log_param(patient.run_of(0).info.run_id, "experts.spread", 2.0)


def export_a_failed_trial(patient: Patient) -> None:
    patient.directory.exports.mkdir()
    provenance = patient.directory.exports / "rank_1_trial_0002.provenance.json"
    provenance.write_text(json.dumps({"trial": 2}))


def damage_an_export(patient: Patient) -> None:
    patient.directory.exports.mkdir()
    (patient.directory.exports / "rank_1_trial_0000.provenance.json").write_text('{"trial"')


def lower_the_budget(patient: Patient) -> None:
    specification = patient.directory.specification
    text = specification.read_text()
    assert "trials: 4" in text
    specification.write_text(text.replace("trials: 4", "trials: 2"))


def constrain_the_weights(patient: Patient) -> None:
    specification = patient.directory.specification
    text = specification.read_text()
    assert "constraints: {}" in text
    constraints = "constraints: {parameters: {at_most: 1}}"
    specification.write_text(text.replace("constraints: {}", constraints))


def export_an_infeasible_trial(patient: Patient) -> None:
    trial = optuna.load_study(
        study_name="tiny", storage=f"sqlite:///{patient.directory.database}"
    ).trials[0]
    with sqlite3.connect(patient.directory.database) as connection:
        connection.execute(
            "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
            (trial._trial_id, "constraints:parameters <= 1", "2.0"),
        )
    patient.directory.exports.mkdir()
    provenance = patient.directory.exports / "rank_1_trial_0000.provenance.json"
    provenance.write_text(json.dumps({"trial": 0}))


BREAKING: tuple[tuple[Callable[[Patient], None], str, str], ...] = (
    (flip_a_bit, "files are whole and sound", "predictions.parquet: damaged"),
    (lose_a_result, "files are whole and sound", "trial 1 is COMPLETE, but has no result on disk"),
    (
        lose_the_curve_of_a_pruned_trial,
        "files are whole and sound",
        "trial 3 is PRUNED, but has no epochs on disk",
    ),
    (change_the_parameters, "Optuna and files agree", "trial 0: Optuna and result.json have"),
    (change_the_value, "Optuna and files agree", "other objectives"),
    (change_the_seed, "repeats are paired by seed", "trial 0 has the seed 7, not"),
    (
        repeat_a_failed_trial,
        "repeats are paired by seed",
        "trial 2 repeat 1: the trial itself is not COMPLETE",
    ),
    (lose_an_epoch, "every epoch once, in order", "trial 3: metrics.parquet has the epochs 1, 3"),
    (lose_a_run, "one run per trial in MLflow", "MLflow has 0 runs for trial 0"),
    (double_a_run, "one run per trial in MLflow", "MLflow has 2 runs for trial 0"),
    (double_an_epoch, "MLflow agrees with the trials", "has train/loss at the epochs 1, 2, 1"),
    (log_another_parameter, "MLflow agrees with the trials", "other parameters than Optuna"),
    (export_a_failed_trial, "exports are COMPLETE trials", "trial 2 is FAIL"),
    (damage_an_export, "exports are COMPLETE trials", "trial_0000.provenance.json: is damaged"),
    (constrain_the_weights, "Optuna and files agree", "break other constraints"),
    (export_an_infeasible_trial, "exports are COMPLETE trials", "trial 0 breaks parameters <= 1"),
    (lower_the_budget, "no more trials than the budget", "3 trials have ended, the budget is 2"),
    (lower_the_budget, "nothing runs in a finished study", "trial 3 is RUNNING in Optuna"),
)


def test_a_sound_study_is_found_sound_also_while_a_trial_waits_to_be_continued(
    patient: Patient,
) -> None:
    assert patient.faults() == {}


@pytest.mark.parametrize(("damage", "check", "fault"), BREAKING)
def test_every_kind_of_damage_is_found_and_named(
    patient: Patient, damage: Callable[[Patient], None], check: str, fault: str
) -> None:
    damage(patient)
    assert fault in "\n".join(patient.faults()[check])


@pytest.mark.parametrize(
    ("trial", "epoch", "is_fault"), [(3, 2, False), (3, 3, True), (0, 3, True)]
)
def test_mlflow_may_have_epochs_after_the_last_checkpoint_of_an_unfinished_trial(
    patient: Patient, trial: int, epoch: int, is_fault: bool
) -> None:
    """A killed driver leaves them; trial 3 has 1 of 2 epochs on disk, trial 0 is COMPLETE."""
    run = patient.run_of(trial)
    time = int(run.info.start_time) + 10**9
    patient.client.log_metric(run.info.run_id, "train/loss", 1.0, time, epoch)
    assert ("MLflow agrees with the trials" in patient.faults()) == is_fault


def test_a_tracking_server_of_the_shell_changes_nothing_for_a_study_that_has_a_mirror(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    kept = patient.directory.tracking_uri.read_bytes()
    assert patient.faults() == {}
    assert patient.directory.tracking_uri.read_bytes() == kept
    patient.directory.tracking_uri.unlink()
    assert "127.0.0.1:9: cannot be read" in str(patient.faults())
    assert not patient.directory.tracking_uri.exists()


def test_a_study_that_is_being_run_is_not_examined(patient: Patient) -> None:
    with hold_lease(patient.directory.lease), pytest.raises(UserError, match="is being run by"):
        doctor("tiny", runs=patient.runs)


def test_the_command_says_what_is_at_fault_and_what_to_do(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(patient.runs.parent)
    sound = CliRunner().invoke(doctor_command, ["tiny"])
    assert sound.exit_code == 0
    assert "fault" not in sound.output
    lose_a_run(patient)
    broken = CliRunner().invoke(doctor_command, ["tiny"])
    assert broken.exit_code == 1
    assert "fault  one run per trial in MLflow\n         MLflow has 0 runs for trial 0\n" in (
        broken.output
    )
    assert "hint: `balpoe sync tiny` writes what MLflow lacks" in broken.output
