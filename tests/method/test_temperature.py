"""Fitted temperatures against a bounded minimisation of the loss, and where none exists."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss
from torch import Tensor
from torch.testing import assert_close

from balpoe.errors import DataError, NonFiniteError
from balpoe.evaluation.post_hoc import Scorer
from balpoe.evaluation.temperature import (
    HIGHEST,
    LOWEST,
    fit_temperature,
    fit_temperatures,
)
from balpoe.method.priors import class_prior
from tests.scalar_priors import scalar_priors

seeds = st.integers(0, 2**32 - 1)


def scored(seed: int, images: int = 200, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Logits that are right more often than not, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels_b = torch.randint(classes, (images,), generator=generator)
    logits_bc = 3 * torch.randn(images, classes, generator=generator)
    logits_bc[torch.arange(images), labels_b] += 2.5
    return logits_bc, labels_b


@given(seed=seeds)
def test_the_temperature_is_that_of_the_least_log_loss(seed: int) -> None:
    logits_bc, labels_b = scored(seed)
    generator = np.random.default_rng(seed)
    shift_c = torch.from_numpy(generator.normal(0, 1, 4))
    weights_b = torch.from_numpy(generator.uniform(0, 2, len(labels_b)))

    def loss(log_temperature: float) -> float:
        scaled = logits_bc.double() / np.exp(log_temperature) + shift_c
        probabilities = scaled.softmax(dim=1).numpy()
        return float(log_loss(labels_b.numpy(), probabilities, sample_weight=weights_b.numpy()))

    fitted = fit_temperature(logits_bc, labels_b, shift_c=shift_c, weights_b=weights_b)
    best = minimize_scalar(
        loss, bounds=(math.log(LOWEST), math.log(HIGHEST)), options={"xatol": 1e-9}
    )
    assert fitted == pytest.approx(np.exp(best.x), rel=1e-4)
    assert loss(np.log(fitted)) <= best.fun + 1e-12


@given(seed=seeds)
def test_the_slope_of_the_loss_is_0_at_the_temperature(seed: int) -> None:
    logits_bc, labels_b = scored(seed)
    shift_c, weights_b = torch.zeros(4), torch.ones(len(labels_b))
    fitted = fit_temperature(logits_bc, labels_b, shift_c=shift_c, weights_b=weights_b)
    beta = torch.tensor(1 / fitted, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(beta * logits_bc.double(), labels_b)
    (slope,) = torch.autograd.grad(loss, beta)
    assert abs(float(slope)) < 1e-9


def test_logits_that_were_multiplied_get_the_factor_back() -> None:
    logits_bc, labels_b = scored(3, images=4000)
    shift_c, weights_b = torch.zeros(4), torch.ones(4000)
    plain = fit_temperature(logits_bc, labels_b, shift_c=shift_c, weights_b=weights_b)
    sure = fit_temperature(7 * logits_bc, labels_b, shift_c=shift_c, weights_b=weights_b)
    assert sure == pytest.approx(7 * plain, rel=1e-6)


def test_exact_experts_have_the_temperature_by_which_they_were_scaled() -> None:
    """P(x|y) on five points; each expert is log P(x|y) + λ·log π, scaled by its own factor."""
    likelihood_xc = torch.tensor(
        [[8, 1, 2], [1, 9, 1], [2, 3, 8], [5, 4, 4], [4, 3, 5]], dtype=torch.float64
    )
    assert (likelihood_xc.sum(dim=0) == 20).all()
    prior_c, lambdas, factors = class_prior((60, 30, 10)), (1.0, 0.0, -1.0), (0.5, 2.0, 4.0)
    points, labels = torch.meshgrid(torch.arange(5), torch.arange(3), indexing="ij")
    repeats = likelihood_xc.long().flatten()
    points_b = points.flatten().repeat_interleave(repeats)
    labels_b = labels.flatten().repeat_interleave(repeats)
    logits_bec = torch.stack(
        [
            (factor * (likelihood_xc * prior_c).log() - (1 - lam) * prior_c.log())[points_b]
            for lam, factor in zip(lambdas, factors, strict=True)
        ],
        dim=1,
    )
    priors = scalar_priors(prior_c, lambdas)
    fitted = fit_temperatures(logits_bec, labels_b, priors=priors)
    assert fitted.experts == pytest.approx(factors, rel=1e-9)
    assert fitted.scaled == "training_scorer"
    product_bc = Scorer((0, 1, 2), "experts").logits(logits_bec, fitted, priors)
    posterior_bc = likelihood_xc[points_b] / likelihood_xc[points_b].sum(dim=1, keepdim=True)
    assert_close(product_bc.softmax(dim=1), posterior_bc, rtol=1e-6, atol=0)


def test_classes_count_the_same_however_many_images_they_have() -> None:
    logits_bc, labels_b = scored(5, images=60)
    logits_bec = logits_bc.unsqueeze(1)
    prior_c = class_prior((50, 30, 15, 5))
    once = fit_temperatures(logits_bec, labels_b, priors=scalar_priors(prior_c, (0.0,)))
    again = labels_b == 2
    more = torch.cat([logits_bec, *[logits_bec[again]] * 5])
    more_labels = torch.cat([labels_b, *[labels_b[again]] * 5])
    repeated = fit_temperatures(more, more_labels, priors=scalar_priors(prior_c, (0.0,)))
    assert repeated.ensemble == pytest.approx(once.ensemble, rel=1e-9)


@pytest.mark.parametrize("lam", [1.0, 0.0, -1.0])
def test_one_expert_is_its_own_ensemble(lam: float) -> None:
    logits_bc, labels_b = scored(1)
    fitted = fit_temperatures(
        logits_bc.unsqueeze(1), labels_b, priors=scalar_priors(class_prior((9, 5, 2, 1)), (lam,))
    )
    assert fitted.experts == (fitted.ensemble,)


def test_where_no_optimum_exists_the_nearest_temperature_is_taken() -> None:
    labels_b = torch.tensor([0, 1, 2])
    right = torch.eye(3).unsqueeze(1)
    uniform = scalar_priors(class_prior((1, 1, 1)), (0.0,))
    assert fit_temperatures(right, labels_b, priors=uniform).ensemble == LOWEST
    assert fit_temperatures(-right, labels_b, priors=uniform).ensemble == HIGHEST


def test_the_scorer_of_the_training_is_scaled() -> None:
    logits_bc, labels_b = scored(8)
    labels_b[:4] = torch.arange(4)
    prior_c = class_prior((50, 30, 15, 5))
    fitted = fit_temperatures(
        logits_bc.unsqueeze(1).repeat(1, 2, 1), labels_b, priors=scalar_priors(prior_c, (1.0, -1.0))
    )
    counts_c = torch.bincount(labels_b)
    for lam, temperature in zip((1.0, -1.0), fitted.experts, strict=True):
        expected = fit_temperature(
            logits_bc + (1 - lam) * prior_c.log(),
            labels_b,
            shift_c=-prior_c.log(),
            weights_b=1 / counts_c[labels_b].double(),
        )
        assert temperature == pytest.approx(expected, rel=1e-9)


def test_what_cannot_be_fitted_is_refused() -> None:
    prior_c = class_prior((1, 1))
    with pytest.raises(NonFiniteError, match="logits"):
        fit_temperatures(
            torch.full((1, 1, 2), float("nan")),
            torch.tensor([0]),
            priors=scalar_priors(prior_c, (0.0,)),
        )
    with pytest.raises(DataError, match="no images"):
        fit_temperatures(
            torch.zeros(0, 1, 2), torch.zeros(0).long(), priors=scalar_priors(prior_c, (0.0,))
        )
    with pytest.raises(DataError, match="labels must be from 0 to 1"):
        fit_temperatures(
            torch.zeros(1, 1, 2), torch.tensor([2]), priors=scalar_priors(prior_c, (0.0,))
        )
