"""Second stages of `train`, `check`, `export` and studies."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from balpoe.errors import StorageError, UserError
from balpoe.files import load_configuration, load_study
from balpoe.launch.check import check
from balpoe.launch.evaluate import evaluate
from balpoe.launch.export import export
from balpoe.launch.train import train
from balpoe.reporting.training_display import TrainingProgress
from balpoe.study.execution.trial import TrialTask, run_trial
from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.directory import StudyDirectory
from balpoe.training.model_directory import load_model
from balpoe.training.model_files import CARD, MODEL, WEIGHTS
from balpoe.training.second_stages.tau_norm import CHOSEN_TAU

FIRST = """
data: {name: digits_lt}
model: {backbone: resnet8, classifier: linear}
experts: {count: 2, sharing: linear}
training: {epochs: 2, batch_size: 64}
"""


def configured(path: Path, second_stage: str, first: str = FIRST) -> Path:
    path.write_text(f"{first}second_stage: {second_stage}\n" if second_stage else first)
    return path


def weights_of(model: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(model / WEIGHTS)


def epochs_of(model: Path) -> list[dict[str, float]]:
    epochs = json.loads((model / "metrics.json").read_text())["epochs"]
    times = ("epoch_seconds", "peak_memory_mib")
    return [{k: v for k, v in each["metrics"].items() if k not in times} for each in epochs]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of seeds 0 and 1 without a second stage."""
    tmp_path = tmp_path_factory.mktemp("first")
    return train(configured(tmp_path / "first.yaml", ""), (0, 1), out=tmp_path / "first").path


@pytest.mark.parametrize(
    "stage", ["{name: crt, epochs: 2}", "{name: lws, epochs: 1}", "{name: tau_norm, tau: 0.6}"]
)
def test_only_the_second_stage_is_trained_on_a_model_and_gives_the_bits_of_both(
    first: Path, tmp_path: Path, stage: str
) -> None:
    file = configured(tmp_path / "second.yaml", stage)
    [whole] = train(file, (1,), out=tmp_path / "whole").models
    seen: list[TrainingProgress] = []
    trained = train(file, (1,), out=tmp_path / "only", first_stage=first, on_progress=seen.append)
    [only] = trained.models
    ours, theirs = weights_of(only), weights_of(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert epochs_of(only) == epochs_of(whole)
    assert seen[-1].epoch == seen[-1].epochs == len(epochs_of(whole))
    plain = json.loads((only / MODEL).read_text())
    assert plain["identity"] == json.loads((whole / MODEL).read_text())["identity"]
    [seed] = evaluate(only)
    assert seed.lambdas is None
    assert load_model(only).provenance.priors.is_uniform()


def test_a_model_with_scales_of_classes_predicts_as_it_was_evaluated(tmp_path: Path) -> None:
    file = configured(tmp_path / "lws.yaml", "{name: lws, epochs: 1, learning_rate: 0.5}")
    [path] = train(file, (0,), out=tmp_path / "lws").models
    model = load_model(path)
    [one, other] = model.experts.classifiers
    for classifier in (one, other):
        assert classifier.class_scales is not None
        assert not torch.equal(classifier.class_scales, torch.ones(10))
    card = (path / CARD).read_text()
    assert "2 epochs and the second stage lws (epochs: 1; learning_rate: 0.5; " in card
    [seed] = evaluate(path)
    assert seed.rows[0].images == 400


@pytest.mark.parametrize(
    ("changes", "seeds", "reason"),
    [
        (("classifier: linear", "classifier: cosine"), (0,), 'is "linear" there, "cosine" here'),
        (("count: 2", "count: 3"), (0,), "experts.count is 2 there, 3 here"),
        (("epochs: 2", "epochs: 3"), (0,), "training.epochs is 2 there, 3 here: use its values"),
        (("digits_lt}", "digits_lt, imbalance_ratio: 5}"), (0,), "its training images are others"),
        (("", ""), (7,), "has the model of seed 0, 1, not of 7: set --seeds"),
    ],
)
def test_a_model_that_is_not_the_first_stage_is_refused_with_the_reason(
    first: Path, tmp_path: Path, changes: tuple[str, str], seeds: tuple[int, ...], reason: str
) -> None:
    text = FIRST.replace(*changes) if changes[0] else FIRST
    file = configured(tmp_path / "second.yaml", "crt", text)
    with pytest.raises(UserError, match=reason) as refused:
        train(file, seeds, out=tmp_path / "second", first_stage=first)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("--first-stage: ")


def test_a_first_stage_needs_a_second_one_and_a_model(first: Path, tmp_path: Path) -> None:
    plain = configured(tmp_path / "plain.yaml", "")
    with pytest.raises(UserError, match="has no second stage: add a line such as second_stage"):
        train(plain, (0,), out=tmp_path / "out", first_stage=first)
    file = configured(tmp_path / "second.yaml", "crt")
    with pytest.raises(StorageError, match=r"--first-stage: .*nothing holds no finished model"):
        train(file, (0,), out=tmp_path / "out", first_stage=tmp_path / "nothing")


def test_a_model_with_a_second_stage_is_no_first_stage(tmp_path: Path) -> None:
    file = configured(tmp_path / "lws.yaml", "{name: lws, epochs: 1}")
    [model] = train(file, (0,), out=tmp_path / "lws").models
    with pytest.raises(UserError, match=r"second stage itself \(lws\): name the model"):
        train(
            configured(tmp_path / "crt.yaml", "crt"), (0,), out=tmp_path / "crt", first_stage=model
        )


def test_a_cosine_classifier_with_tau_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cosine = FIRST.replace("linear}", "cosine}", 1)
    file = configured(tmp_path / "tau.yaml", "tau_norm", cosine)
    with caplog.at_level(logging.WARNING):
        train(file, (0,), out=tmp_path / "tau")
    assert "tau_norm changes nothing, because a cosine classifier" in caplog.text


STUDY = """
name: stages
data: {name: digits_lt}
model: {backbone: resnet8, classifier: linear}
experts: {count: 1}
training: {epochs: 2, batch_size: 64}
known_points: {}
search:
  second_stage.name: {type: categorical, choices: CHOICES}
objectives: {val/balanced_accuracy: maximize}
budget: {trials: 2}
sampler: {name: random}
"""


def test_check_warns_of_tau_on_a_searched_cosine_classifier(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    searched = "  model.classifier: {type: categorical, choices: [linear, cosine]}\n"
    text = STUDY.replace("CHOICES", "[crt, tau_norm]")
    file.write_text(text)
    report = check(file, runs=tmp_path / "runs")
    assert not [each for each in report.warnings if "second_stage" in each]
    assert report.cost is not None
    assert report.cost.largest.epochs == 12
    assert report.cost.smallest.epochs == 2
    file.write_text(text.replace("objectives", f"{searched}objectives"))
    [warning] = [
        each for each in check(file, runs=tmp_path / "runs").warnings if "second_stage" in each
    ]
    assert "set model.classifier: linear" in warning


def test_check_skips_classifiers_that_the_loss_of_the_base_cannot_have(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    losses = "  loss.name: {type: categorical, choices: [ldam, cross_entropy]}\n"
    classifiers = (
        "  model.classifier: {type: categorical, choices: [linear, cosine], "
        "when: {loss.name: {one_of: [cross_entropy]}}}\n"
    )
    text = STUDY.replace("CHOICES", "[none, tau_norm]").replace("linear}", "cosine}\nloss: ldam", 1)
    file.write_text(text.replace("objectives", f"{losses}{classifiers}objectives"))
    report = check(file, runs=tmp_path / "runs")
    assert report.problems == ()
    [warning] = [each for each in report.warnings if "second_stage" in each]
    assert "tau_norm changes nothing" in warning


def test_an_export_has_the_tau_that_the_trial_chose(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("CHOICES", "[tau_norm]"))
    spec = load_study(file)
    directory = StudyDirectory.of(tmp_path / "runs", spec.name)
    directory.create()
    directory.specification.write_text(file.read_text())
    ledger = Ledger(spec, directory)
    ledger.begin_launch()
    proposal = ledger.ask()
    task = TrialTask(
        spec, proposal.identity, proposal.parameters, directory.trial(proposal.identity)
    )
    course = run_trial(task)
    epochs = []
    try:
        while True:
            epochs.append(next(course))
    except StopIteration as ended:
        ledger.complete(proposal.identity, ended.value)
    tau = epochs[-1].metrics[CHOSEN_TAU]
    report = export("stages", top=1, runs=tmp_path / "runs")
    exported = load_configuration(report.exports[0].path)
    assert exported.second_stage.name == "tau_norm"
    assert getattr(exported.second_stage, "tau", None) == tau
