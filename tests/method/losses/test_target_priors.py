"""The prior that a loss says its experts aim at, against the minimum of the loss.

On finitely many points the posterior for the prior P is softmax(log P(x|y) + log P). Where a loss
aims at P, its gradient vanishes there.

X points, B images, E experts, C classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from balpoe.config import Configuration
from balpoe.config.configuration import ClassSampling
from balpoe.config.loss import Loss
from balpoe.method.priors import class_prior
from tests.method.losses.engine_step import (
    COUNTS,
    configured,
    configured_with,
    context_of,
    take_step,
    with_class_lambdas,
)
from tests.method.losses.every_loss import described, every_loss, expert_counts

LAMBDAS_EC = torch.tensor([[1.0, 0.5, 0.0, -1.0], [-2.0, 0.3, 1.0, 0.0]], dtype=torch.float64)


def images_of_points(images_c: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Points and labels of images, so many of each class, and log P(x|y): [B], [B], [X, C]."""
    generator = np.random.default_rng(0)
    counts_xc = np.stack(
        [np.diff(np.sort([0, *generator.choice(np.arange(1, n), 3, replace=False), n]))
         for n in images_c], axis=1
    )  # fmt: skip
    points, classes = np.indices(counts_xc.shape)
    points_b = torch.from_numpy(np.repeat(points.ravel(), counts_xc.ravel()))
    labels_b = torch.from_numpy(np.repeat(classes.ravel(), counts_xc.ravel()))
    return points_b, labels_b, torch.from_numpy(np.log(counts_xc / np.array(images_c)))


EXACT = [
    configured("cross_entropy"),
    configured("cross_entropy", reweighting=0.99),
    configured("bayias"),
    configured("bayias", reweighting=0.99),
    configured("logit_adjustment", 3),
    configured("sade", 3),
    configured("sade", 3, reweighting=0.99),
    configured("lade", alpha=0.0),
    configured("class_balanced", beta=0.99, normalisation="batch"),
    configured("class_balanced", beta=0.99, normalisation="images"),
    configured("class_balanced_focal", beta=0.99, gamma=0.0),
    configured("focal", gamma=0.0),
    configured("label_aware_smoothing", head=0.0, tail=0.0),
    with_class_lambdas(LAMBDAS_EC),
]


@pytest.mark.parametrize(
    ("sampling", "images_c"), [("image", COUNTS), ("class_balanced", (40,) * 4)]
)
@pytest.mark.parametrize("configuration", EXACT, ids=lambda configuration: configuration.loss.name)
def test_the_minimum_of_a_loss_is_the_posterior_for_its_target_prior(
    configuration: Configuration, sampling: ClassSampling, images_c: tuple[int, ...]
) -> None:
    training = replace(configuration.training, class_sampling=sampling)
    configuration = replace(configuration, training=training)
    points_b, labels_b, log_likelihood_xc = images_of_points(images_c)
    targets_ec = configuration.loss.log_target_priors(context_of(configuration))
    logits_xec = log_likelihood_xc[:, None] + targets_ec
    step = take_step(configuration, logits_xec[points_b].float(), labels_b, epoch=199)
    gradients_xec = torch.zeros_like(logits_xec).index_add(0, points_b, step.gradients_bec.double())
    assert float(step.gradients_bec.abs().max()) > 1e-4  # of single images
    assert_close(gradients_xec, torch.zeros_like(logits_xec), rtol=0, atol=2e-6)


@pytest.mark.parametrize("loss", list(every_loss()), ids=described)
def test_a_target_prior_is_finite_and_one_for_each_expert(loss: Loss) -> None:
    for experts in expert_counts(loss):
        targets_ec = loss.log_target_priors(context_of(configured_with(loss, experts)))
        assert targets_ec.shape == (experts, 4)
        assert targets_ec.dtype == torch.float64
        assert targets_ec.isfinite().all()


def test_theorem_1_a_product_of_experts_aims_at_the_mean_bias_of_each_class() -> None:
    configuration = with_class_lambdas(LAMBDAS_EC)
    targets_ec = configuration.loss.log_target_priors(context_of(configuration))
    expected_c = LAMBDAS_EC.mean(dim=0) * class_prior(COUNTS).log()
    assert_close(targets_ec.mean(dim=0), expected_c)


@pytest.mark.parametrize("name", ["bayias", "lade"])
def test_bayias_and_lade_aim_at_equal_frequencies(name: str) -> None:
    configuration = configured(name)
    targets_ec = configuration.loss.log_target_priors(context_of(configuration))
    assert_close(targets_ec.softmax(dim=1), torch.full((1, 4), 0.25, dtype=torch.float64))
