"""Summaries of predictions against the metrics of `evaluate` and hand-made cases."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from balpoe.errors import CorruptFile
from balpoe.evaluation.metric_floors import ece_floors
from balpoe.evaluation.prediction_summary import BinnedConfidences, PredictionSummary
from balpoe.evaluation.scoring import evaluate
from balpoe.evaluation.summarising import prediction_summary
from balpoe.method.calibration_floor import calibration_floor
from balpoe.method.priors import class_prior, target_prior
from balpoe.training.summary_file import read_summary, write_summary
from tests.method.summary_values import flat_values
from tests.scalar_priors import scalar_priors

COUNTS = (300, 60, 12, 3)
NAMES = ("head", "<script>", "$x$", "尾")
LAMBDAS = (1.0, 0.0, -1.5)


def _summary(
    experts: int = 3, *, absent: int | None = None, seed: int = 0, images: int = 90
) -> tuple[PredictionSummary, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels_n = torch.randint(4, (images,), generator=generator)
    if absent is not None:
        labels_n[labels_n == absent] = (absent + 1) % 4
    logits_nec = 2 * torch.randn(images, experts, 4, generator=generator)
    logits_nec += 2.0 * torch.nn.functional.one_hot(labels_n, 4).unsqueeze(1)
    summary = prediction_summary(
        logits_nec,
        labels_n,
        split="val",
        class_names=NAMES,
        class_counts=COUNTS,
        priors=scalar_priors(class_prior(COUNTS), LAMBDAS[:experts]),
        lambdas=LAMBDAS[:experts],
        metrics=("val/ece", "val/balanced_accuracy", "val/forward_10/ece"),
    )
    return summary, logits_nec, labels_n


def _ece(bins: BinnedConfidences) -> float:
    triples = zip(bins.weight, bins.confidence, bins.accuracy, strict=True)
    return sum(w * abs(a - c) for w, c, a in triples if a is not None and c is not None)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), absent=st.sampled_from([None, 0, 3]), experts=st.integers(1, 3))
def test_it_agrees_with_the_metrics_of_the_same_logits(
    seed: int, absent: int | None, experts: int
) -> None:
    summary, logits_nec, labels_n = _summary(experts, absent=absent, seed=seed)
    metrics = evaluate(
        logits_nec,
        labels_n,
        priors=scalar_priors(class_prior(COUNTS), LAMBDAS[:experts]),
        class_counts=COUNTS,
        is_final=True,
    )
    scorers = [(summary.ensemble, metrics.ensemble)]
    scorers += zip(summary.experts, metrics.experts, strict=True)
    for own, other in scorers:
        assert own.accuracy == other.accuracy
        assert own.balanced_accuracy == other.balanced_accuracy
        assert own.kl_to_target_prior == pytest.approx(
            other.values["kl_to_target_prior"], abs=1e-14
        )
        for bins, prefix in ((own.by_images, ""), (own.by_classes, "balanced_")):
            assert bins.ece == other.values[f"{prefix}ece"] == pytest.approx(_ece(bins))
            assert bins.mce == other.values[f"{prefix}mce"]
            assert bins.ece_floor == other.values[f"{prefix}ece_floor"]
            assert sum(bins.images) == len(labels_n)
            assert sum(bins.weight) == pytest.approx(1)
        divergence = sum(
            p * math.log(p / q) for p, q in zip(own.target_prior_c, own.marginal_c, strict=True)
        )
        assert divergence == pytest.approx(own.kl_to_target_prior, abs=1e-9)
        assert sum(own.marginal_c) == pytest.approx(1)
        assert sum(own.predicted_c) == len(labels_n)
        for group, value in own.shot_accuracy.items():
            assert value == other.values[f"accuracy_{group}"]
        recalls = [recall for recall in own.recall_c if recall is not None]
        assert sum(recalls) / len(recalls) == pytest.approx(own.balanced_accuracy)
    assert sum(images for *_, images in summary.confusion) == len(labels_n)
    right = sum(images for true, predicted, images in summary.confusion if true == predicted)
    assert right / len(labels_n) == summary.ensemble.accuracy
    assert summary.images_c == tuple(torch.bincount(labels_n, minlength=4).tolist())
    for left_out, without in enumerate(summary.without_expert_e):
        others = [e for e in range(experts) if e != left_out]
        scored = evaluate(
            logits_nec[:, others],
            labels_n,
            priors=scalar_priors(class_prior(COUNTS), [LAMBDAS[e] for e in others]),
            class_counts=COUNTS,
        ).ensemble
        assert without.balanced_accuracy == pytest.approx(scored.balanced_accuracy)
        assert without.balanced_ece == pytest.approx(scored.balanced_ece)


@pytest.mark.parametrize("most", [1, 4 * 3 * 7])
def test_blocks_of_images_give_the_numbers_of_all_at_once(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One image, and 7 images of 3 experts and 4 classes; 90 images are no multiple."""
    at_once, *_ = _summary()
    monkeypatch.setattr("balpoe.evaluation.image_blocks._MOST_ELEMENTS", most)
    in_blocks, logits_nec, labels_n = _summary()
    whole, blocks = flat_values(at_once), flat_values(in_blocks)
    assert blocks.keys() == whole.keys()
    assert blocks == pytest.approx(whole, rel=1e-9, abs=1e-15, nan_ok=True)
    known = ("val/backward_50_known_prior/ece",)
    confidence_n = torch.empty(0)  # not used for a known prior
    prior_c = class_prior(COUNTS)
    floors = ece_floors(
        known, logits_nec, confidence_n, labels_n, trained_prior_c=prior_c, class_counts=COUNTS
    )
    monkeypatch.undo()
    assert floors == ece_floors(
        known, logits_nec, confidence_n, labels_n, trained_prior_c=prior_c, class_counts=COUNTS
    )


def test_marginals_whose_probabilities_underflow_in_one_block_keep_their_divergence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tail class has about exp(-2000) for every image, with the smallest ones first."""
    labels_n = torch.arange(8) % 4
    logits_nec = torch.zeros(8, 1, 4)
    logits_nec[:, 0, 3] = torch.linspace(-3000, -2000, 8)
    monkeypatch.setattr("balpoe.evaluation.image_blocks._MOST_ELEMENTS", 8)
    summary = prediction_summary(
        logits_nec,
        labels_n,
        split="val",
        class_names=NAMES,
        class_counts=(1,) * 4,
        priors=scalar_priors(class_prior((1,) * 4), (0.0,)),
    )
    log_marginals = [*(math.log(1 / 3) for _ in range(3)), -2000 - math.log(3) - math.log(8)]
    expected = sum(0.25 * (math.log(0.25) - value) for value in log_marginals)
    assert summary.ensemble.kl_to_target_prior == pytest.approx(expected, rel=1e-12)


def test_experts_that_agree_add_nothing_and_one_that_is_always_wrong_harms() -> None:
    labels_n = torch.arange(40) % 4
    right = 4.0 * torch.nn.functional.one_hot(labels_n, 4).double()
    wrong = 9.0 * torch.nn.functional.one_hot((labels_n + 1) % 4, 4).double()
    summary = prediction_summary(
        torch.stack([right, right, wrong], dim=1),
        labels_n,
        split="test",
        class_names=NAMES,
        class_counts=COUNTS,
        priors=scalar_priors(class_prior(COUNTS), LAMBDAS),
        lambdas=LAMBDAS,
    )
    assert [list(row) for row in summary.disagreement_ee] == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
    assert [w.balanced_accuracy for w in summary.without_expert_e] == [0, 0, 1]
    assert summary.ensemble.accuracy == 0.0
    assert summary.confusion == tuple((y, (y + 1) % 4, 10) for y in range(4))
    assert summary.floors == {}
    assert _summary(1)[0].without_expert_e == ()


def test_floors_are_those_of_the_metrics_weights_and_known_prior() -> None:
    summary, logits_nec, labels_n = _summary()
    assert list(summary.floors) == ["val/ece", "val/forward_10/ece"]
    assert summary.floors["val/ece"] == pytest.approx(summary.ensemble.by_images.ece_floor)
    product_nc = logits_nec.double().mean(dim=1)
    prior_c = class_prior(COUNTS)
    names = ("val/forward_10_known_prior/ece", "val/accuracy", "val/expert_0/ece", "val/mce")
    floors = ece_floors(
        names,
        logits_nec,
        product_nc.softmax(dim=1).amax(dim=1),
        labels_n,
        trained_prior_c=target_prior(prior_c, sum(LAMBDAS) / 3),
        class_counts=COUNTS,
    )
    assert list(floors) == ["val/forward_10_known_prior/ece"]
    assert 0 < floors["val/forward_10_known_prior/ece"] < 0.3
    equal_n = torch.ones(len(labels_n), dtype=torch.float64)
    confidence_n = product_nc.softmax(dim=1).amax(dim=1)
    assert summary.floors["val/ece"] == calibration_floor(confidence_n, equal_n).ece


@pytest.mark.parametrize("absent", [None, 2])
def test_a_stored_summary_is_read_as_it_was_to_seven_digits(
    tmp_path: Path, absent: int | None
) -> None:
    summary, *_ = _summary(absent=absent)
    write_summary(tmp_path / "summary.json", summary)
    stored = read_summary(tmp_path / "summary.json")
    write_summary(tmp_path / "again.json", stored)
    assert read_summary(tmp_path / "again.json") == stored
    assert stored.class_names == NAMES
    assert stored.confusion == summary.confusion
    assert stored.ensemble.by_images.ece == pytest.approx(summary.ensemble.by_images.ece, rel=1e-6)
    assert dataclasses.asdict(stored).keys() == dataclasses.asdict(summary).keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "has format 2"),
        ({"experts": None}, "experts"),
        ({"ensemble": {"lam": 1.0}}, "accuracy is missing"),
        ({"confusion": [[0, 1]]}, r"confusion\[0\] must have 3 items, got 2"),
    ],
)
def test_a_damaged_summary_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "summary.json"
    write_summary(path, _summary()[0])
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CorruptFile, match=message):
        read_summary(path)
