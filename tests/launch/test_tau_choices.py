"""Corrections by τ that `evaluate --post-hoc` makes for trained models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from balpoe.cli.evaluate import evaluate as command
from balpoe.data import load_test_images
from balpoe.files import load_configuration
from balpoe.launch.evaluate import evaluate
from balpoe.launch.train import train
from balpoe.method.tau_normalisation import tau_normalised
from balpoe.training.model_directory import load_model

TEXT = """
data: {name: digits_lt}
model: {backbone: resnet8, classifier: CLASSIFIER}
experts: {count: 1, centre: 1.0}
training: {epochs: 3, batch_size: 64}
"""


def model_of(tmp_path: Path, classifier: str) -> tuple[Path, Path]:
    file = tmp_path / "one.yaml"
    file.write_text(TEXT.replace("CLASSIFIER", classifier))
    [model] = train(file, (0,), out=tmp_path / "out").models
    return file, model


def test_normalised_scores_are_those_of_a_model_with_normalised_weights(tmp_path: Path) -> None:
    file, path = model_of(tmp_path, "linear")
    [seed] = evaluate(path, post_hoc=True)
    adjusted, normalised = seed.taus
    assert (adjusted.correction, normalised.correction) == ("logit_adjustment", "tau_norm")
    assert adjusted.chosen is not None
    assert normalised.chosen is not None
    assert "labelled images that the training of the model leaves out" in normalised.origin
    model = load_model(path)
    [classifier] = model.experts.classifiers
    with torch.no_grad():
        assert classifier.bias is not None
        classifier.weight.copy_(tau_normalised(classifier.weight, normalised.chosen.tau))
        classifier.bias.zero_()
    test = load_test_images(load_configuration(file).data)
    hits_n = model.predict(test, torch.device("cpu"))[:, 0].argmax(dim=1) == test.labels_n
    assert normalised.chosen.test.values["accuracy"] == pytest.approx(hits_n.double().mean().item())
    plain = next(row for row in adjusted.rows if row.tau == 0)
    evaluation = seed.rows[0].evaluation
    assert evaluation is not None
    assert plain.test.values["nll"] == pytest.approx(evaluation.ensemble.values["nll"], rel=1e-5)


def test_a_cosine_classifier_has_logit_adjustment_alone(tmp_path: Path) -> None:
    _, path = model_of(tmp_path, "cosine")
    shown = CliRunner().invoke(command, [str(path), "--post-hoc"])
    assert shown.exit_code == 0, shown.output
    assert "Scores corrected by τ" in shown.output
    assert "‖w‖" not in shown.output
    printed = CliRunner().invoke(command, [str(path), "--post-hoc", "--json"])
    [seed] = json.loads(printed.output)
    [choice] = seed["taus"]
    assert choice["correction"] == "logit_adjustment"
    assert [row["is_chosen"] for row in choice["rows"]].count(True) == 1
