"""Temperatures from the trial that a configuration was exported from, or the reason for none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import balpoe
from balpoe.cli.evaluate import evaluate as command
from balpoe.data import load_search_splits
from balpoe.errors import ConfigurationError, CorruptFile, DataError, StorageError, UserError
from balpoe.evaluation.temperature import fit_temperatures
from balpoe.files import load_configuration
from balpoe.launch.runs import local_runs
from balpoe.launch.search_temperatures import passed_on_by_search
from balpoe.launch.train import TrainedSeeds
from balpoe.method.priors import class_prior
from balpoe.parquet_tables import sha256_of
from balpoe.study.object_store.study_files import study_files
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.result_file import read_result
from balpoe.training.loss_context import configured_lambdas, expert_priors
from balpoe.training.model_directory import OUTSIDE_A_STUDY, Calibration, TrainedModel, load_model
from balpoe.training.model_files import VALIDATION_PREDICTIONS
from balpoe.training.predictions_file import read_predictions
from balpoe.training.search_validation import SearchValidation
from tests.scalar_priors import scalar_priors
from tests.study.older_results import rewrite_in_format_1

BEFORE = Path(__file__).parents[1] / "fixtures" / "0.1.0-99a681c"


class TinyStudy(Protocol):
    runs: Path
    directory: StudyDirectory


class Bucket(Protocol):
    def names(self, below: str = "") -> set[str]: ...


@pytest.fixture(scope="module")
def exported(tiny_study: TinyStudy) -> Path:
    (export,) = balpoe.export("tiny", runs=tiny_study.runs).exports
    return export.path


def calibration_of(file: Path) -> Calibration:
    return passed_on_by_search(file, load_configuration(file)).calibration


def moved(tiny_study: TinyStudy, exported: Path, tmp_path: Path) -> tuple[Path, StudyDirectory]:
    """The export in a copy of its study that may be damaged."""
    copy = tmp_path / "tiny"
    shutil.copytree(tiny_study.directory.path, copy)
    return copy / "exports" / exported.name, StudyDirectory(copy)


def trial_of(exported: Path) -> int:
    return int(exported.stem.rpartition("_")[2])


def test_they_are_fitted_on_the_trials_stored_validation_logits(
    tiny_study: TinyStudy, exported: Path
) -> None:
    calibration = calibration_of(exported)
    number = trial_of(exported)
    directory = tiny_study.directory.trial(TrialIdentity("tiny", number))
    predictions = read_predictions(directory.predictions)
    configuration = load_configuration(exported)
    counts = load_search_splits(configuration.data).description.class_counts
    logits_nec = torch.from_numpy(predictions.logits_nec)
    labels_n = torch.tensor(predictions.labels_n)
    lambdas = configured_lambdas(configuration)
    assert calibration.temperatures == fit_temperatures(
        logits_nec, labels_n, priors=scalar_priors(class_prior(counts), lambdas)
    )
    assert calibration.origin == (
        f"carried over from {len(labels_n)} validation images of trial {number} of tiny"
    )
    for e, lam in enumerate(lambdas):
        assert calibration.temperatures is not None
        beta = torch.tensor(1 / calibration.temperatures.experts[e], requires_grad=True)
        log_prior_c = class_prior(counts).log()
        scorer_nc = logits_nec[:, e].double() + (1 - lam) * log_prior_c
        loss = torch.nn.functional.cross_entropy(
            beta.double() * scorer_nc - log_prior_c, labels_n
        )  # the validation split of the digits is balanced
        (slope,) = torch.autograd.grad(loss, beta)
        assert abs(float(slope)) < 1e-5


def test_they_are_fitted_without_a_look_at_the_images(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = calibration_of(exported)
    monkeypatch.delattr("balpoe.launch.search_temperatures.load_search_splits")
    assert calibration_of(exported) == known


def test_for_a_trial_whose_result_tells_no_class_counts_they_are_counted_again(
    tiny_study: TinyStudy, exported: Path, tmp_path: Path
) -> None:
    file, study = moved(tiny_study, exported, tmp_path)
    trial = study.trial(TrialIdentity("tiny", trial_of(exported)))
    rewrite_in_format_1(trial)
    assert calibration_of(file) == calibration_of(exported)
    rewrite_in_format_1(trial, data_fingerprint="of other data")
    changed = calibration_of(file)
    assert changed.temperatures is None
    assert changed.origin.startswith("the data are not those of trial")


@pytest.fixture(scope="module")
def trained(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedSeeds:
    directory = tmp_path_factory.mktemp("trained")
    uri = f"sqlite:///{directory / 'mlflow.db'}"
    return balpoe.train(exported, (1,), out=directory / "model", tracking_uri=uri)


def test_a_model_keeps_them_and_evaluation_shows_them(
    exported: Path, trained: TrainedSeeds
) -> None:
    assert load_model(trained.models[0]).provenance.calibration == calibration_of(exported)
    (plain,) = balpoe.evaluate(trained.path)
    (seed,) = balpoe.evaluate(trained.path, post_hoc=True)
    assert plain.post_hoc == ()
    scalings = (
        {"none", "ensemble", "experts"} if len(seed.shown_lambdas) > 1 else {"none", "ensemble"}
    )
    assert {row.scorer.scaling for row in seed.post_hoc} == scalings
    (metrics, evaluation) = (seed.post_hoc[0].metrics, plain.rows[0].evaluation)
    assert metrics is not None
    assert evaluation is not None
    assert metrics.values == pytest.approx(evaluation.ensemble.values, rel=1e-5, abs=1e-6)


def test_a_model_carries_the_trials_validation_predictions(
    tiny_study: TinyStudy, exported: Path, trained: TrainedSeeds
) -> None:
    trial = tiny_study.directory.trial(TrialIdentity("tiny", trial_of(exported)))
    model = load_model(trained.models[0])
    copy = trained.models[0] / VALIDATION_PREDICTIONS
    assert copy.read_bytes() == trial.predictions.read_bytes()
    carried = model.validation_predictions()
    assert carried is not None
    stored = read_predictions(trial.predictions)
    assert np.array_equal(carried.logits_nec, stored.logits_nec)
    assert np.array_equal(carried.labels_n, stored.labels_n)
    configuration = load_configuration(exported)
    of_trial = expert_priors(configuration, carried.class_counts)
    assert torch.equal(carried.priors.log_priors_ec, of_trial.log_priors_ec)
    assert carried.class_counts == load_search_splits(configuration.data).description.class_counts
    assert carried.precision == read_result(trial).precision
    assert carried.precision in ("float32", "bfloat16")
    assert carried.origin == model.provenance.calibration.origin
    assert {path.name for path in trained.path.iterdir()} == {"seed_1", "README.md", "lease"}


@pytest.mark.parametrize("spoilt", [False, True])
def test_carried_predictions_are_read_when_needed_and_checked(
    trained: TrainedSeeds, tmp_path: Path, spoilt: bool
) -> None:
    path = tmp_path / "model"
    shutil.copytree(trained.models[0], path)
    file = path / VALIDATION_PREDICTIONS
    if spoilt:
        file.write_bytes(file.read_bytes()[:-1] + b"\0")
    else:
        file.unlink()
    balpoe.load(path)
    with pytest.raises(CorruptFile, match=VALIDATION_PREDICTIONS):
        load_model(path).validation_predictions()


def test_predictions_of_a_study_on_s3_are_downloaded(
    tiny_study: TinyStudy, exported: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working copy of a study lacks predictions (`launch.runs.find_study`)."""
    runs = local_runs("s3://studies/team")
    copy = StudyDirectory.of(runs, "tiny")
    with study_files(copy).changing(copy.path):
        shutil.copytree(tiny_study.directory.path, copy.path)
    file = copy.exports / exported.name
    trial = copy.trial(TrialIdentity("tiny", trial_of(exported)))
    trial.predictions.unlink()
    found = passed_on_by_search(file, load_configuration(file))
    assert found.calibration.temperatures is not None
    assert found.validation is not None
    assert found.validation.path.read_bytes() == (
        tiny_study.directory.trial(
            TrialIdentity("tiny", trial_of(exported))
        ).predictions.read_bytes()
    )


def test_an_export_of_the_version_before_passes_its_predictions_on(tmp_path: Path) -> None:
    """tests/cluster/test_seed_training.py trains it."""
    study = StudyDirectory(tmp_path / "balanced")
    shutil.copytree(BEFORE / "balanced" / "study", study.path)
    (file,) = study.exports.glob("*.yaml")
    trial = study.trial(TrialIdentity("balanced", trial_of(file)))
    found = passed_on_by_search(file, load_configuration(file))
    assert found.calibration.temperatures is not None
    assert found.validation is not None
    assert found.validation.path == trial.predictions
    assert found.validation.about == SearchValidation(read_result(trial).class_counts or (), None)


def test_the_training_images_of_an_earlier_version_may_be_named_in_its_export(
    tmp_path: Path,
) -> None:
    shutil.copytree(BEFORE / "natural" / "study", tmp_path / "natural")
    (file,) = tmp_path.glob("natural/exports/*.yaml")
    carried = passed_on_by_search(file, load_configuration(file))
    assert carried.validation is not None
    text = file.read_text().replace(
        "\n  subset_seed:", "\n  final_uses_validation: false\n  subset_seed:"
    )
    file.write_text(text)
    assert "final_uses_validation: false" in text
    assert passed_on_by_search(file, load_configuration(file)) == carried


def test_a_model_of_the_version_before_has_no_predictions_and_is_used_as_it_is() -> None:
    path = BEFORE / "natural" / "model"
    model = load_model(path)
    assert model.validation_predictions() is None
    assert model.test_predictions() is None
    assert model.provenance.own_validation is None
    probabilities = balpoe.load(path).predict_proba(np.zeros((2, *image_shape(model)), np.uint8))
    assert probabilities.sum(axis=1) == pytest.approx([1, 1])


def image_shape(model: TrainedModel) -> tuple[int, int, int]:
    description = model.provenance.description
    return description.height, description.width, description.channels


def test_the_command_shows_and_prints_them(exported: Path, trained: TrainedSeeds) -> None:
    shown = CliRunner().invoke(command, [str(trained.path), "--post-hoc"])
    assert shown.exit_code == 0
    for text in ("unknown, known, estimated", "Temperatures: ", "carried over from"):
        assert text in shown.stdout
    assert "Temperatures" not in CliRunner().invoke(command, [str(trained.path)]).stdout
    printed = CliRunner().invoke(command, [str(trained.path), "--post-hoc", "--json"])
    (seed,) = json.loads(printed.stdout)
    calibration = calibration_of(exported)
    assert calibration.temperatures is not None
    assert seed["calibration"]["temperatures"]["ensemble"] == calibration.temperatures.ensemble
    assert {row["prior"] for row in seed["post_hoc"]} == {"unknown", "known", "estimated"}
    assert set(seed["post_hoc"][0]["metrics"]) >= {"accuracy", "ece", "nll"}
    choices = seed["choices"]
    assert choices["chosen_by"] == "balanced_nll"
    assert choices["validation"] == calibration.origin
    least = min(each["validation"]["balanced_nll"] for each in choices["scorers"])
    [chosen] = [each for each in choices["scorers"] if each["is_chosen"]]
    assert chosen["validation"]["balanced_nll"] == least
    assert all(set(each["test"]) >= {"balanced_nll", "nll"} for each in choices["scorers"])


def test_a_model_without_validation_predictions_shows_the_reason(
    trained: TrainedSeeds, tmp_path: Path
) -> None:
    """As saved by the version before, which kept temperatures alone."""
    path = tmp_path / "model"
    shutil.copytree(trained.models[0], path)
    model = json.loads((path / "model.json").read_text())
    model["search_validation"] = None
    (path / "model.json").write_text(json.dumps(model))
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["sha256"]["model.json"] = sha256_of(path / "model.json")
    (path / "manifest.json").write_text(json.dumps(manifest))
    [seed] = balpoe.evaluate(path, post_hoc=True)
    assert seed.validated is not None
    assert seed.validated.best is None
    assert seed.validated.origin == "the model was saved by a version of balpoe that kept none"
    shown = CliRunner().invoke(command, [str(path), "--post-hoc"])
    assert "no validation, no choice: the model was saved by" in " ".join(shown.stdout.split())


def test_a_configuration_that_is_no_export_has_none(exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    shutil.copy(exported, file)
    assert calibration_of(file) == OUTSIDE_A_STUDY


def test_one_that_was_changed_after_its_export_has_none(
    tiny_study: TinyStudy, exported: Path, tmp_path: Path
) -> None:
    file, _ = moved(tiny_study, exported, tmp_path)
    file.write_text(file.read_text().replace("batch_size: 64", "batch_size: 32"))
    calibration = calibration_of(file)
    assert calibration == Calibration(None, "the configuration was changed after its export")


@pytest.mark.parametrize("spoilt", ["predictions", "result"])
def test_where_the_trials_files_are_gone_there_are_none_and_the_reason_is_kept(
    tiny_study: TinyStudy,
    exported: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoilt: str,
) -> None:
    file, study = moved(tiny_study, exported, tmp_path)
    number = trial_of(exported)
    directory = study.trial(TrialIdentity("tiny", number))
    getattr(directory, spoilt).unlink()
    assert calibration_of(file) == Calibration(
        None, f"a file of the trial is missing, damaged or changed (trial {number} of tiny)"
    )
    assert str(getattr(directory, spoilt)) in caplog.text


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (CorruptFile, "a file of the trial is missing, damaged or changed"),
        (StorageError, "a file of the trial or of its data cannot be read"),
        (PermissionError, "a file of the trial or of its data cannot be read"),
        (ConfigurationError, "the configuration of the trial is not valid any more"),
        (DataError, "the data of the trial cannot be used"),
        (UserError, "the files of the trial cannot be used"),
        (ValueError, "the files of the trial cannot be used"),
    ],
)
def test_a_model_names_no_path_of_this_machine(
    exported: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[Exception],
    problem: str,
) -> None:
    def fail(trial: object) -> None:
        message = "/home/person/studies: broken"
        raise ConfigurationError([message]) if kind is ConfigurationError else kind(message)

    monkeypatch.setattr("balpoe.launch.search_temperatures.read_result", fail)
    number = trial_of(exported)
    assert calibration_of(exported) == Calibration(None, f"{problem} (trial {number} of tiny)")
    assert "/home/person/studies: broken" in caplog.text


def test_a_provenance_that_cannot_be_read_is_no_reason_to_fail(
    tiny_study: TinyStudy, exported: Path, tmp_path: Path
) -> None:
    file, _ = moved(tiny_study, exported, tmp_path)
    provenance = file.with_suffix(".provenance.json")
    for content in ("", "[]", "{}"):
        provenance.write_text(content)
        calibration = calibration_of(file)
        assert calibration.temperatures is None
        assert calibration.origin.startswith("the provenance of the export cannot be read")
