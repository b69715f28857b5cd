"""Predictions of a loaded model: probabilities for every prior, and scikit-learn's interface."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, log_loss

import balpoe
from balpoe.data.splits import ImageSet
from balpoe.errors import CorruptFile, DataError, StorageError, UserError
from balpoe.evaluation.prior_estimation import HeldOut, estimate_prior
from balpoe.evaluation.temperature import Temperatures
from balpoe.inference import Classifier
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import class_prior, target_prior
from balpoe.training.model_directory import Calibration, load_model
from balpoe.training.predictions_file import Predictions, read_predictions

Pixels = NDArray[np.uint8]
CPU = torch.device("cpu")


def test_the_probabilities_are_the_softmax_of_the_mean_logits_of_the_trained_model(
    classifier: Classifier, model_path: Path, images_nhwd: Pixels
) -> None:
    unlabelled = ImageSet(torch.from_numpy(images_nhwd), torch.zeros(30, dtype=torch.int64))
    logits_nec = load_model(model_path).predict(unlabelled, CPU)
    probabilities = classifier.predict_proba(images_nhwd)
    assert probabilities.dtype == np.float32
    expected = product_of_experts(logits_nec).softmax(dim=-1).numpy()
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    np.testing.assert_array_equal(classifier.experts(images_nhwd).logits_nec, logits_nec.numpy())


def test_each_expert_is_seen_by_itself(classifier: Classifier, images_nhwd: Pixels) -> None:
    experts = classifier.experts(images_nhwd)
    assert experts.lambdas == (1.0, 0.0, -1.0)
    assert experts.probabilities_nec.shape == (30, 3, 4)
    exponentials = np.exp(experts.logits_nec.astype(np.float64))
    expected = exponentials / exponentials.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(experts.probabilities_nec, expected, rtol=1e-5)
    assert np.ptp(experts.logits_nec, axis=1).min() > 0


@pytest.mark.parametrize("lambdas", [(1.0, 0.0, -1.0), (1.0, -0.25, -1.5)])
@pytest.mark.parametrize("target", ["train", "uniform", [0.7, 0.1, 0.2, 0.0], [1, 1, 2, 4]])
def test_a_prior_multiplies_the_odds_by_its_ratio_to_the_trained_one(
    tmp_path: Path, save_model_of: Any, images_nhwd: Pixels, lambdas: Any, target: Any
) -> None:
    model = balpoe.load(save_model_of(tmp_path / "model", lambdas=lambdas), device="cpu")
    counts = np.array([60, 20, 8, 3])
    named = {"train": counts, "uniform": np.ones(4)}
    test = named[target] if isinstance(target, str) else np.array(target)
    trained = (counts / counts.sum()) ** np.mean(lambdas)
    weighted = model.predict_proba(images_nhwd) * (test / trained)
    expected = weighted / weighted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        model.predict_proba(images_nhwd, target_prior=target), expected, rtol=1e-4
    )


COUNTS = np.array([60.0, 20.0, 8.0, 3.0])
BY_CLASS = ((1.0, 0.5, 0.0, -1.0), (0.0, 0.0, 2.0, 1.0), (-1.0, 1.0, 0.0, 0.5))


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({"class_lambdas": BY_CLASS}, (COUNTS / COUNTS.sum()) ** np.mean(BY_CLASS, axis=0)),
        ({"loss": "cross_entropy"}, COUNTS),
        ({"loss": "bayias"}, np.ones(4)),
        # π, 1 and the τ-th power of π with its ranks reversed
        ({"loss": "sade"}, (COUNTS * COUNTS[::-1] ** 2.0) ** (1 / 3)),
    ],
)
def test_the_prior_of_a_model_is_that_of_its_loss(
    tmp_path: Path, save_model_of: Any, images_nhwd: Pixels, settings: Any, weights: Any
) -> None:
    model = balpoe.load(save_model_of(tmp_path / "model", **settings), device="cpu")
    np.testing.assert_allclose(model.trained_prior_c, weights / weights.sum(), rtol=1e-12)
    assert model.provenance.lambdas is None
    assert model.experts(images_nhwd).lambdas is None
    weighted = model.predict_proba(images_nhwd) * np.array([0.1, 0.2, 0.3, 0.4]) / weights
    expected = weighted / weighted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        model.predict_proba(images_nhwd, target_prior=[0.1, 0.2, 0.3, 0.4]), expected, rtol=1e-4
    )


def test_balanced_experts_stand_for_the_uniform_prior_by_themselves(
    classifier: Classifier, images_nhwd: Pixels
) -> None:
    np.testing.assert_allclose(
        classifier.predict_proba(images_nhwd, "uniform"),
        classifier.predict_proba(images_nhwd),
        rtol=1e-6,
    )


def test_a_class_with_prior_0_is_never_predicted(
    classifier: Classifier, images_nhwd: Pixels
) -> None:
    winner = int(classifier.predict_proba(images_nhwd).argmax(axis=1)[0])
    target = [1 / 3] * 4
    target[winner] = 0.0
    probabilities = classifier.predict_proba(images_nhwd, target)
    assert (probabilities[:, winner] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_an_estimated_prior_is_used_like_a_given_one(
    classifier: Classifier, model_path: Path, images_nhwd: Pixels
) -> None:
    estimate = classifier.estimate_prior(images_nhwd)
    prior_c = estimate.prior_c.numpy()
    assert estimate.moved == bool((prior_c != class_prior((60, 20, 8, 3)).numpy()).any())
    np.testing.assert_allclose(
        classifier.predict_proba(images_nhwd, "estimate"),
        classifier.predict_proba(images_nhwd, prior_c),
        rtol=1e-6,
    )
    stored = load_model(model_path).held_out_predictions()
    assert stored is not None
    labels_n = torch.from_numpy(stored.labels_n.copy())
    chosen = classifier.with_experts(1)
    expected = estimate_prior(
        torch.from_numpy(classifier.experts(images_nhwd).logits_nec[:, 1]),
        HeldOut(torch.from_numpy(stored.logits_nec[:, 1]), labels_n),
        trained_prior_c=chosen.trained_prior_c,
        class_prior_c=class_prior((60, 20, 8, 3)),
    )
    np.testing.assert_allclose(
        chosen.estimate_prior(images_nhwd).prior_c, expected.prior_c, rtol=1e-6
    )


def test_an_estimate_reads_the_held_out_predictions_once(
    classifier: Classifier, images_nhwd: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    def counted(path: Path) -> Predictions:
        reads.append(path)
        return read_predictions(path)

    monkeypatch.setattr("balpoe.training.model_directory.read_predictions", counted)
    classifier.estimate_prior(images_nhwd)
    assert len(reads) == 1
    classifier.predict_proba(images_nhwd, "estimate")
    assert len(reads) == 2


def test_no_prior_is_estimated_without_held_out_images(
    tmp_path: Path, save_model_of: Any, images_nhwd: Pixels
) -> None:
    model = balpoe.load(save_model_of(tmp_path / "model"), device="cpu")
    for call in (model.estimate_prior, lambda x: model.predict_proba(x, "estimate")):
        with pytest.raises(
            DataError, match=r"target_prior: cannot be estimated: .*; give the class"
        ):
            call(images_nhwd)


def test_batches_of_any_size_give_the_same_probabilities(
    classifier: Classifier, images_nhwd: Pixels
) -> None:
    many = np.concatenate([images_nhwd] * 20)
    together = classifier.predict_proba(many)
    assert together.shape == (600, 4)
    np.testing.assert_allclose(together[:30], classifier.predict_proba(images_nhwd), rtol=1e-4)
    np.testing.assert_allclose(together[:1], classifier.predict_proba(images_nhwd[0]), rtol=1e-4)


def test_classes_are_called_by_their_names_as_in_scikit_learn(
    classifier: Classifier, images_nhwd: Pixels
) -> None:
    assert classifier.classes_.tolist() == ["cat", "dog", "Übermut", "鳥"]
    probabilities = classifier.predict_proba(images_nhwd, "train")
    predicted = classifier.predict(images_nhwd, "train")
    np.testing.assert_array_equal(predicted, classifier.classes_[probabilities.argmax(axis=1)])
    truth = np.resize(classifier.classes_, 30)
    assert classifier.score(images_nhwd, truth, "train") == accuracy_score(truth, predicted)
    assert classifier.score(images_nhwd, [0, 1, 2, 3] * 7 + [0, 1], "train") == (
        classifier.score(images_nhwd, truth, "train")
    )
    assert np.isfinite(log_loss(np.resize(np.arange(4), 30), probabilities))


@pytest.mark.parametrize("kind", [list, np.array])
def test_a_column_of_labels_is_scored_as_the_labels_in_it(
    classifier: Classifier, images_nhwd: Pixels, kind: Any
) -> None:
    names = np.resize(classifier.classes_, 30)
    expected = classifier.score(images_nhwd, names)
    assert classifier.score(images_nhwd, kind(names[:, None].tolist())) == expected
    indices = np.resize(np.arange(4), 30)
    assert classifier.score(images_nhwd, kind(indices[:, None].tolist())) == expected


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat"] * 29, "must be 30, one per image, got 29"),
        (["cat"] * 29 + ["dgo"], '"dgo" is not a class of the model; did you mean dog'),
        ([4] * 30, "labels must be from 0 to 3"),
        ([[0, 1]] * 30, r"one per image, of the shape \[N\] or \[N, 1\], got the shape \(30, 2\)"),
        ([["cat", "dog"]] * 30, r"got the shape \(30, 2\)"),
        ([[0] * 30], r"got the shape \(1, 30\)"),
        (2, r"got the shape \(\)"),
        ([[0], [0, 1]], r"must be one per image, of the shape \[N\] \(.*inhomogeneous"),
    ],
)
def test_labels_that_cannot_be_scored_are_refused(
    classifier: Classifier, images_nhwd: Pixels, labels: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        classifier.score(images_nhwd, labels)


def test_the_trained_prior_is_that_of_the_mean_bias(tmp_path: Path, save_model_of: Any) -> None:
    model = balpoe.load(save_model_of(tmp_path / "ce", lambdas=(1.0,)), device="cpu")
    torch.testing.assert_close(model.trained_prior_c, class_prior((60, 20, 8, 3)))


def test_temperatures_divide_the_logits_of_the_ensemble_or_of_each_expert(
    tmp_path: Path, save_model_of: Any, images_nhwd: Pixels
) -> None:
    carried = Calibration(Temperatures(2.0, (0.5, 1.0, 4.0)), "carried over from a trial")
    model = balpoe.load(save_model_of(tmp_path / "model", calibration=carried), device="cpu")
    logits_nec = torch.from_numpy(model.experts(images_nhwd).logits_nec)
    factors = {"none": (1.0, 1.0, 1.0), "ensemble": (0.5, 0.5, 0.5), "experts": (2.0, 1.0, 0.25)}
    for scaling, factors_e in factors.items():
        scaled_nec = logits_nec * torch.tensor(factors_e).unsqueeze(1)
        expected = product_of_experts(scaled_nec).softmax(dim=-1).numpy()
        scaled = model.with_temperatures(scaling)  # type: ignore[arg-type]
        np.testing.assert_allclose(scaled.predict_proba(images_nhwd), expected, rtol=1e-5)


def test_a_model_without_temperatures_says_why(classifier: Classifier) -> None:
    with pytest.raises(DataError, match=r"ensemble: there are none, the model was trained outside"):
        classifier.with_temperatures("ensemble")


@pytest.mark.parametrize("experts", [(1,), (0, 2), (0,), (1, 2)])
def test_some_of_the_experts_stand_for_their_own_mean_bias(
    classifier: Classifier, images_nhwd: Pixels, experts: tuple[int, ...]
) -> None:
    some = classifier.with_experts(*experts)
    logits_nec = torch.from_numpy(classifier.experts(images_nhwd).logits_nec)[:, list(experts)]
    expected = product_of_experts(logits_nec).softmax(dim=-1).numpy()
    np.testing.assert_allclose(some.predict_proba(images_nhwd), expected, rtol=1e-5)
    lam = np.mean([(1.0, 0.0, -1.0)[e] for e in experts])
    torch.testing.assert_close(
        some.trained_prior_c, target_prior(class_prior((60, 20, 8, 3)), float(lam))
    )


@pytest.mark.parametrize("experts", [(), (0, 0), (3,), (-1,)])
def test_experts_that_there_are_not_are_refused(
    classifier: Classifier, experts: tuple[int, ...]
) -> None:
    with pytest.raises(DataError, match="experts: must be different numbers from 0 to 2, got"):
        classifier.with_experts(*experts)


def test_loading_and_predicting_needs_none_of_the_studys_libraries(
    model_path: Path, tmp_path: Path
) -> None:
    code = f"""
import sys
for name in ("ray", "optuna", "mlflow", "pydantic", "yaml", "sqlalchemy", "click", "rich"):
    sys.modules[name] = None  # its import raises ImportError
import balpoe, numpy
model = balpoe.load({str(model_path)!r})
print(model.predict_proba(numpy.zeros((2, 8, 10, 3), numpy.uint8), "estimate").shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "(2, 4)", done.stderr


def test_a_directory_of_several_seeds_asks_for_one(tmp_path: Path, save_model_of: Any) -> None:
    for seed in (1, 10, 2):
        save_model_of(tmp_path / f"seed_{seed}")
    with pytest.raises(StorageError, match=r"\(seed_1, seed_2, seed_10\); choose .*seed_1$"):
        balpoe.load(tmp_path)


def test_what_is_no_sound_model_is_refused_in_one_line(tmp_path: Path, save_model_of: Any) -> None:
    with pytest.raises(StorageError, match=r"holds no finished model") as missing:
        balpoe.load(tmp_path / "nothing")
    model = save_model_of(tmp_path / "model")
    with pytest.raises(UserError, match="--device nonsense: not available here"):
        balpoe.load(model, device="nonsense")
    (model / "model.json").write_text((model / "model.json").read_text().replace("60", "61"))
    with pytest.raises(
        CorruptFile, match=r"model\.json: was changed after it was saved"
    ) as touched:
        balpoe.load(model)
    assert all("\n" not in str(refused.value) for refused in (missing, touched))
