"""Losses against torch's own functions, loops over images, and their limits.

B batch, E experts, C classes.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from balpoe.config.loss import Criterion, Targets
from balpoe.method.class_weights import effective_number_weights
from balpoe.method.losses.label_aware_smoothing.smoothed_labels import class_smoothing
from balpoe.method.losses.lade.disentangling import disentangling_term
from balpoe.method.losses.ldam.margin_cross_entropy import class_margins
from balpoe.method.priors import class_prior
from tests.method.losses.engine_step import COUNTS, configured, context_of, take_step

GENERATOR = torch.Generator().manual_seed(0)
LOGITS_BC = 3 * torch.randn(9, 4, generator=GENERATOR)
LABELS_B = torch.tensor([0, 1, 2, 0, 3, 2, 0, 1, 0])
PARTNER_LABELS_B = LABELS_B.roll(2)
XI_B = torch.linspace(0, 1, 9)
WEIGHTS_C = effective_number_weights(COUNTS, 0.99).float()


def criterion_of(loss: str, **settings: Any) -> Criterion:
    configuration = configured(loss, **settings)
    return configuration.loss.criterion(context_of(configuration))


def mean_of(loss: str, **settings: Any) -> Tensor:
    return criterion_of(loss, **settings).mean(0, LOGITS_BC, Targets(LABELS_B)).squeeze()


def cross_entropies() -> Tensor:
    return functional.cross_entropy(LOGITS_BC, LABELS_B, reduction="none")


def test_the_weighted_mean_of_a_batch_is_that_of_torch() -> None:
    expected = functional.cross_entropy(LOGITS_BC, LABELS_B, weight=WEIGHTS_C)
    assert_close(mean_of("class_balanced", beta=0.99, normalisation="batch"), expected)


def test_the_weighted_mean_of_images_divides_by_their_number() -> None:
    expected = (WEIGHTS_C[LABELS_B] * cross_entropies()).mean()
    assert_close(mean_of("class_balanced", beta=0.99, normalisation="images"), expected)


def test_mixed_labels_are_weighted_each_by_its_own_batch() -> None:
    criterion = criterion_of("class_balanced", beta=0.99, normalisation="batch")
    found = criterion.mean(0, LOGITS_BC, Targets(LABELS_B, PARTNER_LABELS_B, XI_B))
    expected = torch.zeros(())
    for labels_b, share_b in ((LABELS_B, XI_B), (PARTNER_LABELS_B, 1 - XI_B)):
        losses_b = functional.cross_entropy(LOGITS_BC, labels_b, WEIGHTS_C, reduction="none")
        expected += (share_b * losses_b).sum() / WEIGHTS_C[labels_b].sum()
    assert_close(found, expected)


@pytest.mark.parametrize("normalisation", ["batch", "images"])
def test_beta_0_weights_no_class(normalisation: str) -> None:
    found = mean_of("class_balanced", beta=0.0, normalisation=normalisation)
    assert_close(found, cross_entropies().mean())


def test_gamma_0_leaves_the_cross_entropy() -> None:
    assert_close(mean_of("focal", gamma=0.0), cross_entropies().mean())
    weighted_b = WEIGHTS_C[LABELS_B] * cross_entropies()
    for form in ("softmax", "weighted"):
        found = mean_of("class_balanced_focal", beta=0.99, gamma=0.0, form=form)
        assert_close(found, weighted_b.mean())


def test_gamma_0_leaves_the_binary_cross_entropies_of_sigmoids() -> None:
    one_hot_bc = functional.one_hot(LABELS_B, 4).float()
    losses_bc = functional.binary_cross_entropy_with_logits(LOGITS_BC, one_hot_bc, reduction="none")
    expected = (WEIGHTS_C[LABELS_B] * losses_bc.sum(dim=1)).mean()
    found = mean_of("class_balanced_focal", beta=0.99, gamma=0.0, form="sigmoid")
    assert_close(found, expected)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0, 2.0])
def test_the_focal_loss_of_a_certain_label_has_a_gradient_of_zero(gamma: float) -> None:
    step = take_step(configured("focal", gamma=gamma), torch.tensor([[[200.0, 0.0, 0.0, 0.0]]]),
                     torch.tensor([0]))  # fmt: skip
    assert torch.equal(step.losses_e, torch.zeros(1))
    assert torch.equal(step.gradients_bec, torch.zeros(1, 1, 4))


def test_margins_are_taken_from_the_logit_of_the_label_in_the_scale_of_the_logits() -> None:
    criterion = criterion_of("ldam", largest_margin=0.3)
    margins = [0.3 * (5 / count) ** 0.25 for count in COUNTS]
    assert_close(class_margins(COUNTS, 0.3), torch.tensor(margins, dtype=torch.float64))
    for logits_c, label, found in zip(
        LOGITS_BC, LABELS_B.tolist(), criterion.per_image(0, LOGITS_BC, LABELS_B), strict=True
    ):
        others = [math.exp(logits_c[j]) for j in range(4) if j != label]
        own = math.exp(logits_c[label] - 30 * margins[label])
        assert float(found) == pytest.approx(-math.log(own / (own + sum(others))), rel=1e-5)


def test_lade_with_alpha_0_is_balanced_softmax() -> None:
    assert_close(mean_of("lade", alpha=0.0), mean_of("bayias"))


@pytest.mark.parametrize("labels_b", [LABELS_B, torch.zeros(9, dtype=torch.int64)])
def test_the_batch_term_of_lade_is_the_sum_over_classes(labels_b: Tensor) -> None:
    """Also where the batch has no image of most classes."""
    prior_c, rho = class_prior(COUNTS), 0.1
    expected = 0.0
    for c, share in enumerate(prior_c.tolist()):
        own = [float(f_c[c]) for f_c, y in zip(LOGITS_BC, labels_b.tolist(), strict=True) if y == c]
        mean = sum(own) / len(own) if own else 0.0
        log_mean = math.log(sum(math.exp(f_c[c]) / (4 * share) for f_c in LOGITS_BC) / 9)
        expected -= share * (mean - log_mean - rho * log_mean**2)
    found = disentangling_term(LOGITS_BC, labels_b, prior_c.float(), rho)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_equal_smoothing_of_all_classes_is_that_of_torch() -> None:
    expected = functional.cross_entropy(LOGITS_BC, LABELS_B, label_smoothing=0.2)
    assert_close(mean_of("label_aware_smoothing", head=0.2, tail=0.2), expected)


@pytest.mark.parametrize("profile", ["concave", "linear", "convex"])
def test_smoothing_rises_from_the_rarest_to_the_most_frequent_class(profile: str) -> None:
    counts = (500, 300, 300, 90, 10)
    smoothing_c = class_smoothing(counts, 0.4, 0.1, profile)  # type: ignore[arg-type]
    assert_close(smoothing_c[[0, -1]], torch.tensor([0.4, 0.1], dtype=torch.float64))
    assert smoothing_c[1] == smoothing_c[2]
    linear = 0.1 + 0.3 * (300 - 10) / 490
    order = {"concave": 1, "linear": 0, "convex": -1}[profile]
    assert torch.sign((smoothing_c[1] - linear).round(decimals=9)) == order


def test_equally_frequent_classes_have_the_smoothing_of_the_head() -> None:
    found_c = class_smoothing((7, 7, 7), 0.4, 0.1, "concave")
    assert_close(found_c, torch.full((3,), 0.4, dtype=torch.float64))
