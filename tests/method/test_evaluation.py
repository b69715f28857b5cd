"""Every metric of experts and ensemble: oracles, exact finite joints, weights as copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
)
from torch import Tensor

from balpoe.data.splits import DataDescription, ImageSet, Normalisation
from balpoe.errors import DataError, NonFiniteError
from balpoe.evaluation.distributions import evaluate_distributions
from balpoe.evaluation.scoring import Evaluation, Metrics, evaluate
from balpoe.method.calibration_bins import reliability_bins
from balpoe.method.priors import class_prior, mean_lambda, target_prior
from balpoe.training.validation_metrics import validation_scalars
from tests.scalar_priors import scalar_priors

CLASS_COUNTS = (200, 101, 100, 20, 19)
LAMBDAS = (1.0, 0.25, -1.5)
seeds = st.integers(0, 2**32 - 1)


def score(
    logits_bec: Tensor, labels_b: Tensor, lambdas: Sequence[float] = LAMBDAS, **settings: Any
) -> Evaluation:
    """Evaluate with the class counts and biases of this file."""
    prior_c = class_prior(CLASS_COUNTS)
    priors = scalar_priors(prior_c, lambdas)
    known: dict[str, Any] = {"priors": priors, "class_counts": CLASS_COUNTS}
    return evaluate(logits_bec, labels_b, **(known | settings))


class Predictions(NamedTuple):
    """Random logits float32 [B, E, C] that know something, and the labels they are for."""

    logits_bec: Tensor
    labels_b: Tensor


def random_predictions(seed: int, images_per_class: Sequence[int]) -> Predictions:
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(images_per_class)), images_per_class)
    generator.shuffle(labels)
    logits = generator.normal(size=(len(labels), len(LAMBDAS), len(images_per_class)))
    logits[np.arange(len(labels)), :, labels] += 1
    return Predictions(torch.from_numpy(logits).float(), torch.from_numpy(labels))


def same_scalars(one: Evaluation, other: Evaluation) -> None:
    assert one.scalars("val") == pytest.approx(other.scalars("val"), abs=1e-10)


class FiniteJoint(NamedTuple):
    """Images of finitely many kinds x, copied so that each class holds P(x|y) exactly."""

    kinds_b: Tensor
    labels_b: Tensor
    log_likelihood_xc: Tensor

    def exact_experts(self, prior_c: Tensor, lambdas: Sequence[float]) -> Tensor:
        """Logits [B, E, C] with softmax P_λ(y|x) for each λ."""
        priors_ec = torch.stack([target_prior(prior_c, lam) for lam in lambdas])
        return self.log_likelihood_xc[self.kinds_b].unsqueeze(1) + priors_ec.log()


def finite_joint(seed: int, classes: int = 5, kinds: int = 7) -> FiniteJoint:
    copies_xc = torch.from_numpy(np.random.default_rng(seed).integers(1, 6, (kinds, classes))) ** 3
    pairs = torch.cartesian_prod(torch.arange(kinds), torch.arange(classes))
    kinds_b, labels_b = pairs.repeat_interleave(copies_xc.flatten(), dim=0).unbind(dim=1)
    return FiniteJoint(kinds_b, labels_b, (copies_xc.double() / copies_xc.sum(dim=0)).log())


def _shot_accuracy(metrics: Metrics) -> dict[str, float]:
    """The accuracy of each shot group that the metrics have."""
    shots = ("many", "medium", "few")
    names = {shot: f"accuracy_{shot}" for shot in shots}
    return {shot: metrics.values[name] for shot, name in names.items() if name in metrics.values}


def test_scikit_learn_agrees_on_experts_and_ensemble() -> None:
    logits_bec, labels_b = random_predictions(0, (40, 30, 20, 10, 5))
    evaluation = score(logits_bec, labels_b)
    scorers = [*logits_bec.double().unbind(dim=1), logits_bec.double().mean(dim=1)]
    for metrics, logits_bc in zip([*evaluation.experts, evaluation.ensemble], scorers, strict=True):
        probabilities_bc, predicted_b = logits_bc.softmax(dim=1), logits_bc.argmax(dim=1)
        expected = {
            "accuracy": accuracy_score(labels_b, predicted_b),
            "balanced_accuracy": balanced_accuracy_score(labels_b, predicted_b),
            "nll": log_loss(labels_b, probabilities_bc),
            "ece": reliability_bins(probabilities_bc, labels_b).ece,
            "mce": reliability_bins(probabilities_bc, labels_b).mce,
        }
        scalars = metrics.values
        assert {name: scalars[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_weighted_metrics_agree_with_scikit_learn() -> None:
    logits_bec, labels_b = random_predictions(1, (40, 30, 20, 10, 5))
    ensemble = score(logits_bec, labels_b).ensemble
    logits_bc = logits_bec.double().mean(dim=1)
    probabilities_bc, predicted_b = logits_bc.softmax(dim=1), logits_bc.argmax(dim=1)
    weights_b = 1 / torch.bincount(labels_b)[labels_b]
    bins = reliability_bins(probabilities_bc, labels_b, sample_weights_b=weights_b)
    expected = {
        "balanced_accuracy": accuracy_score(labels_b, predicted_b, sample_weight=weights_b),
        "balanced_nll": log_loss(labels_b, probabilities_bc, sample_weight=weights_b),
        "balanced_ece": bins.ece,
        "balanced_mce": bins.mce,
    }
    assert {name: ensemble.values[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_shot_groups_are_means_of_their_classes_accuracies() -> None:
    labels_b = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    predicted_b = torch.tensor([0, 0, 1, 0, 2, 0, 0, 0, 0, 4])
    logits_bec = torch.nn.functional.one_hot(predicted_b).float().unsqueeze(1)
    ensemble = score(logits_bec, labels_b, lambdas=(0.0,)).ensemble
    assert ensemble.class_accuracy_c.tolist() == [1, 0.5, 0.5, 0, 0.5]
    assert _shot_accuracy(ensemble) == {"many": 0.75, "medium": 0.25, "few": 0.5}
    assert ensemble.accuracy == ensemble.balanced_accuracy == 0.5


def test_a_shot_group_without_classes_is_absent() -> None:
    logits_bec, labels_b = random_predictions(2, (4, 4, 4, 4, 4))
    evaluation = score(logits_bec, labels_b, class_counts=(500, 400, 300, 200, 100))
    assert set(_shot_accuracy(evaluation.ensemble)) == {"many", "medium"}
    assert "val/accuracy_few" not in evaluation.scalars("val")


def test_the_names_of_the_scalars() -> None:
    logits_bec, labels_b = random_predictions(3, (4, 4, 4, 4, 4))
    scalars = score(logits_bec, labels_b).scalars("val")
    metrics = {
        *("accuracy", "balanced_accuracy", "accuracy_many", "accuracy_medium", "accuracy_few"),
        *("macro_f1", "nll", "ece", "mce", "balanced_nll", "balanced_ece", "balanced_mce"),
        *("confidence", "kl_to_target_prior", "kl_to_target_prior_matched"),
    }
    owners = ("val", "val/expert_0", "val/expert_1", "val/expert_2")
    assert set(scalars) == {f"{owner}/{metric}" for owner in owners for metric in metrics}


@given(seed=seeds, lambdas=st.lists(st.floats(-3, 3), min_size=1, max_size=4))
def test_exact_experts_match_their_target_prior_for_every_lambda(
    seed: int, lambdas: list[float]
) -> None:
    joint = finite_joint(seed)
    logits_bec = joint.exact_experts(class_prior(CLASS_COUNTS), lambdas)
    evaluation = score(logits_bec, joint.labels_b, lambdas=lambdas)
    for metrics in (*evaluation.experts, evaluation.ensemble):
        assert metrics.kl_to_target_prior_matched == pytest.approx(0, abs=1e-12)


def test_the_mean_prediction_of_an_exact_but_biased_expert_is_not_its_target_prior() -> None:
    joint = finite_joint(0)
    logits_bec = joint.exact_experts(class_prior(CLASS_COUNTS), (1.0, 0.0))
    biased, unbiased = score(logits_bec, joint.labels_b, lambdas=(1.0, 0.0)).experts
    assert biased.kl_to_target_prior > 0.01
    assert unbiased.kl_to_target_prior == pytest.approx(0, abs=1e-12)


def test_an_exact_unbiased_product_is_calibrated_where_classes_count_the_same() -> None:
    joint = finite_joint(4)
    logits_bec = joint.exact_experts(class_prior(CLASS_COUNTS), (2.0, 0.0, -2.0))
    evaluation = score(logits_bec, joint.labels_b, lambdas=(2.0, 0.0, -2.0))
    assert evaluation.ensemble.balanced_ece == pytest.approx(0, abs=1e-12)
    assert evaluation.ensemble.balanced_mce == pytest.approx(0, abs=1e-12)


def test_both_divergences_agree_with_scipy() -> None:
    logits_bec, labels_b = random_predictions(5, (9, 7, 5, 3, 2))
    evaluation = score(logits_bec, labels_b)
    prior_c = class_prior(CLASS_COUNTS)
    scorers = [*logits_bec.double().unbind(dim=1), logits_bec.double().mean(dim=1)]
    for metrics, logits_bc, lam in zip(
        [*evaluation.experts, evaluation.ensemble],
        scorers,
        [*LAMBDAS, mean_lambda(LAMBDAS)],
        strict=True,
    ):
        means_yc = torch.stack([logits_bc[labels_b == y].softmax(dim=1).mean(0) for y in range(5)])
        target_c = target_prior(prior_c, lam)
        balanced, matched = (
            entropy(target_c, means_yc.mean(0)),
            entropy(target_c, target_c @ means_yc),
        )
        assert metrics.kl_to_target_prior == pytest.approx(balanced)
        assert metrics.kl_to_target_prior_matched == pytest.approx(matched)


def test_divergences_do_not_depend_on_how_images_are_weighted() -> None:
    logits_bec, labels_b = random_predictions(6, (9, 7, 5, 3, 2))
    images = score(logits_bec, labels_b).ensemble
    shifted = score(logits_bec, labels_b, class_weights_c=torch.arange(1.0, 6.0)).ensemble
    assert images.accuracy != shifted.accuracy
    assert images.kl_to_target_prior == shifted.kl_to_target_prior
    assert images.kl_to_target_prior_matched == shifted.kl_to_target_prior_matched


def test_divergence_stays_finite_and_exact_where_probabilities_underflow() -> None:
    logits_bec = torch.tensor([[[2000.0, 0.0]], [[2000.0, 0.0]]])
    metrics = evaluate(
        logits_bec,
        torch.tensor([0, 1]),
        priors=scalar_priors(class_prior((9, 1)), (0.0,)),
        class_counts=(9, 1),
    ).ensemble
    assert metrics.kl_to_target_prior == pytest.approx(1000 - math.log(2))
    assert metrics.kl_to_target_prior_matched == pytest.approx(1000 - math.log(2))
    assert metrics.nll == pytest.approx(1000)


@given(seed=seeds, images=st.lists(st.integers(1, 6), min_size=5, max_size=5))
def test_weighting_classes_equals_copying_their_images_until_all_have_as_many(
    seed: int, images: list[int]
) -> None:
    logits_bec, labels_b = random_predictions(seed, images)
    copies_b = math.lcm(*images) // torch.bincount(labels_b)[labels_b]
    balanced = score(logits_bec, labels_b).scalars("val")
    copied = score(
        logits_bec.repeat_interleave(copies_b, dim=0), labels_b.repeat_interleave(copies_b)
    ).scalars("val")
    pairs = {name: name.replace("balanced_", "") for name in balanced if "balanced_" in name}
    assert len(pairs) == 4 * (len(LAMBDAS) + 1)
    expected = {name: copied[plain] for name, plain in pairs.items()}
    assert {name: balanced[name] for name in pairs} == pytest.approx(expected, abs=1e-10)


@given(seed=seeds, copies=st.lists(st.integers(1, 6), min_size=5, max_size=5))
def test_class_weights_on_a_balanced_split_equal_copies_of_its_images(
    seed: int, copies: list[int]
) -> None:
    logits_bec, labels_b = random_predictions(seed, (3, 3, 3, 3, 3))
    copies_b = torch.tensor(copies)[labels_b]
    weighted = score(logits_bec, labels_b, class_weights_c=torch.tensor(copies))
    copied = score(
        logits_bec.repeat_interleave(copies_b, dim=0), labels_b.repeat_interleave(copies_b)
    )
    same_scalars(weighted, copied)


def test_90_of_90_head_images_and_3_of_10_tail_images() -> None:
    """One definition on every split: accuracy 0.930 and balanced 0.650, with either ECE."""
    labels_b = torch.tensor([0] * 90 + [1] * 10)
    predicted_b = torch.tensor([0] * 90 + [1] * 3 + [0] * 7)
    logits_bec = 2 * torch.nn.functional.one_hot(predicted_b).float().unsqueeze(1)
    confidence = 1 / (1 + math.exp(-2))
    images = ImageSet(torch.zeros(100, 1, 1, 1, dtype=torch.uint8), labels_b)
    description = DataDescription(
        class_names=("head", "tail"),
        class_counts=(90, 10),
        normalisation=Normalisation((0.5,), (0.5,)),
        height=1,
        width=1,
        channels=1,
        fingerprint="",
    )
    priors = scalar_priors(class_prior((90, 10)), (0.0,))
    validation = validation_scalars(logits_bec, images, description, priors)
    test, *_ = evaluate_distributions(
        logits_bec,
        labels_b,
        priors=priors,
        class_counts=(90, 10),
    )
    expected = {
        "accuracy": 0.93,
        "balanced_accuracy": 0.65,
        "ece": 0.93 - confidence,
        "balanced_ece": confidence - 0.65,
        "mce": 0.93 - confidence,
        "balanced_mce": confidence - 0.65,
    }
    for scalars, split in ((validation, "val"), (test.scalars(), "test")):
        for scorer in (split, f"{split}/expert_0"):
            found = {name: scalars[f"{scorer}/{name}"] for name in expected}
            assert found == pytest.approx(expected)
    assert {f"test/{name.removeprefix('val/')}" for name in validation} == {
        name for name in test.scalars() if "_floor" not in name
    }
    assert round(expected["ece"], 3) == 0.049
    assert round(expected["balanced_ece"], 3) == 0.231


def test_on_a_balanced_split_each_pair_is_equal_to_the_bit() -> None:
    logits_bec, labels_b = random_predictions(7, (7, 7, 7, 7, 7))
    evaluation = score(logits_bec, labels_b)
    for metrics in (*evaluation.experts, evaluation.ensemble):
        for name in ("accuracy", "ece", "mce", "nll"):
            assert metrics.values[name] == metrics.values[f"balanced_{name}"]
        assert metrics.bins.weights.equal(metrics.balanced_bins.weights)


def test_a_class_of_weight_zero_counts_in_no_bin() -> None:
    logits_bec, labels_b = random_predictions(8, (5, 5, 5, 5, 5))
    weights_c = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
    without = score(logits_bec, labels_b, class_weights_c=weights_c).ensemble
    kept_b = labels_b != 4
    kept = score(logits_bec[kept_b], labels_b[kept_b]).ensemble
    assert int(without.bins.counts.sum()) == 20
    assert without.bins.counts.equal(kept.bins.counts)
    assert without.accuracy == kept.accuracy


def test_a_class_without_images_is_left_out_of_means_but_not_of_the_target_prior() -> None:
    logits_bec, labels_b = random_predictions(9, (6, 5, 4, 3, 0))
    metrics = score(logits_bec, labels_b).ensemble
    assert metrics.class_accuracy_c.isnan().tolist() == [False, False, False, False, True]
    assert metrics.balanced_accuracy == pytest.approx(float(metrics.class_accuracy_c[:4].mean()))
    assert set(_shot_accuracy(metrics)) == {"many", "medium"}

    probabilities_bc = logits_bec.double().mean(dim=1).softmax(dim=1)
    means_yc = torch.stack([probabilities_bc[labels_b == y].mean(dim=0) for y in range(4)])
    target_c = target_prior(class_prior(CLASS_COUNTS), mean_lambda(LAMBDAS))
    matched_c = target_c[:4] / target_c[:4].sum() @ means_yc
    assert metrics.kl_to_target_prior == pytest.approx(entropy(target_c, means_yc.mean(dim=0)))
    assert metrics.kl_to_target_prior_matched == pytest.approx(entropy(target_c, matched_c))


def test_class_weights_of_absent_classes_go_to_the_others_in_proportion() -> None:
    logits_bec, labels_b = random_predictions(10, (6, 5, 4, 3, 0))
    with_absent = score(logits_bec, labels_b, class_weights_c=torch.tensor([1, 2, 3, 4, 90]))
    without = score(logits_bec, labels_b, class_weights_c=torch.tensor([1, 2, 3, 4, 0]))
    same_scalars(with_absent, without)


def test_exact_experts_adjusted_to_a_known_test_prior_match_it() -> None:
    joint = finite_joint(11)
    test_prior_c = torch.tensor([0.05, 0.1, 0.15, 0.3, 0.4], dtype=torch.float64)
    logits_bec = joint.exact_experts(class_prior(CLASS_COUNTS), LAMBDAS)
    adjusted = score(
        logits_bec, joint.labels_b, test_prior_c=test_prior_c, class_weights_c=test_prior_c
    )
    for metrics in (*adjusted.experts, adjusted.ensemble):
        assert metrics.kl_to_target_prior_matched == pytest.approx(0, abs=1e-12)
        assert metrics.bins.ece == pytest.approx(0, abs=1e-12)
        assert metrics.nll == pytest.approx(adjusted.ensemble.nll)
    assert (
        adjusted.ensemble.nll
        < score(logits_bec, joint.labels_b, class_weights_c=test_prior_c).ensemble.nll
    )


def test_a_class_with_zero_test_prior_is_never_predicted_and_leaves_every_metric_finite() -> None:
    logits_bec, labels_b = random_predictions(12, (6, 5, 4, 3, 0))
    logits_bec[:, :, 4] = 50
    test_prior_c = torch.tensor([0.25, 0.25, 0.25, 0.25, 0])
    fooled = score(logits_bec, labels_b)
    adjusted = score(logits_bec, labels_b, test_prior_c=test_prior_c)
    without = evaluate(
        logits_bec[:, :, :4],
        labels_b,
        priors=scalar_priors(class_prior(CLASS_COUNTS[:4]), LAMBDAS),
        class_counts=CLASS_COUNTS[:4],
        test_prior_c=test_prior_c[:4],
    )
    assert fooled.ensemble.accuracy == 0
    assert all(map(math.isfinite, adjusted.scalars("test").values()))
    same_scalars(adjusted, without)


def test_images_of_a_class_that_the_test_prior_rules_out_are_refused() -> None:
    logits_bec, labels_b = random_predictions(13, (6, 5, 4, 3, 2))
    with pytest.raises(DataError, match="class 4 has 2 images"):
        score(logits_bec, labels_b, test_prior_c=torch.tensor([0.25, 0.25, 0.25, 0.25, 0]))


def test_non_finite_logits_are_refused_with_their_number_and_expert() -> None:
    logits_bec, labels_b = random_predictions(14, (2, 2, 2, 2, 2))
    logits_bec[0, 1, 2] = math.nan
    logits_bec[3, 2, :2] = math.inf
    with pytest.raises(NonFiniteError, match=r"1 of expert 1, 2 of expert 2 \(of 50 each\)"):
        score(logits_bec, labels_b)


@pytest.mark.parametrize("label", [-1, 5])
def test_labels_that_are_no_class_are_refused(label: int) -> None:
    logits_bec, labels_b = random_predictions(15, (2, 2, 2, 2, 2))
    labels_b[3] = label
    with pytest.raises(DataError, match=rf"label {label} of image 3 .*from 0 to 4"):
        score(logits_bec, labels_b)


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        score(torch.zeros(0, 3, 5), torch.zeros(0, dtype=torch.int64))


def test_class_weights_that_cannot_weight_are_refused() -> None:
    logits_bec, labels_b = random_predictions(16, (3, 3, 3, 3, 0))
    for weights, error, message in (
        ([1.0, math.nan, 1.0, 1.0, 1.0], NonFiniteError, "class weights"),
        ([1.0, 1.0, -2.0, 1.0, 1.0], DataError, "got -2.0 for class 2"),
        ([0.0, 0.0, 0.0, 0.0, 1.0], DataError, "no class in the split"),
    ):
        with pytest.raises(error, match=message):
            score(logits_bec, labels_b, class_weights_c=torch.tensor(weights))
