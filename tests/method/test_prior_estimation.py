"""The estimate of class frequencies, on Gaussian data of which the truth is known.

A scorer of `simulated` is exactly calibrated for P(x|y); a test distorts it where it says so.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from balpoe.errors import DataError, NonFiniteError
from balpoe.evaluation.prior_estimation import (
    LEVEL,
    MOST_IMAGES,
    HeldOut,
    PriorEstimate,
    PriorEstimator,
    estimate_prior,
    thinning,
)
from balpoe.method.priors import class_prior, target_prior

COUNTS = (200, 100, 50, 25)
TRAINED_C = class_prior(COUNTS)
UNIFORM_C = torch.full((4,), 0.25, dtype=torch.float64)
REVERSED_C = TRAINED_C.flip(0)


def simulated(
    images: int, prior_c: Tensor, seed: int, *, trained_prior_c: Tensor = UNIFORM_C
) -> tuple[Tensor, Tensor]:
    """Logits of the Bayes rule of `trained_prior_c` for images of the frequencies `prior_c`."""
    generator = torch.Generator().manual_seed(seed)
    labels_n = torch.multinomial(prior_c, images, replacement=True, generator=generator)
    x_nc = torch.randn(images, 4, generator=generator, dtype=torch.float64)
    x_nc[torch.arange(images), labels_n] += 1.5
    return 1.5 * x_nc + trained_prior_c.log(), labels_n


def estimate(
    images: int,
    prior_c: Tensor,
    seed: int = 0,
    *,
    factor: float = 1.0,
    offset_c: Tensor | None = None,
    held_out: int = 200,
    lam: float = 0.0,
) -> PriorEstimate:
    """The estimate of a scorer whose logits are scaled and shifted."""
    shift_c = torch.zeros(4, dtype=torch.float64) if offset_c is None else offset_c
    scorer_c = target_prior(TRAINED_C, lam)
    logits_nc, _ = simulated(images, prior_c, seed, trained_prior_c=scorer_c)
    known_nc, labels_n = simulated(held_out, UNIFORM_C, 1000 + seed, trained_prior_c=scorer_c)
    return estimate_prior(
        factor * logits_nc + shift_c,
        HeldOut(factor * known_nc + shift_c, labels_n),
        trained_prior_c=scorer_c,
        class_prior_c=TRAINED_C,
    )


@pytest.mark.parametrize("lam", [1.0, 0.0, -0.5])
def test_a_clear_shift_is_found(lam: float) -> None:
    found = estimate(1000, REVERSED_C, lam=lam, held_out=1000)
    assert found.moved
    assert found.converged
    assert found.p_value < 1e-6
    assert float((found.prior_c - REVERSED_C).abs().sum()) / 2 < 0.05
    assert_close(float(found.prior_c.sum()), 1.0)


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_errors_of_the_scorer_that_held_out_images_show_do_not_move_the_estimate(
    factor: float,
) -> None:
    """EM took every one of these scorers for a shift of the class frequencies."""
    offset_c = torch.tensor([0.0, -1.0, 2.0, -2.0], dtype=torch.float64)
    same = estimate(1000, TRAINED_C, factor=factor, offset_c=offset_c, held_out=1000)
    assert not same.moved
    assert torch.equal(same.prior_c, TRAINED_C)
    assert same.variance == 0
    other = estimate(1000, REVERSED_C, factor=factor, offset_c=offset_c, held_out=1000)
    assert other.moved
    assert float((other.prior_c - REVERSED_C).abs().sum()) / 2 < 0.08


def test_the_training_prior_is_rarely_rejected_where_it_is_right() -> None:
    found = [estimate(60, TRAINED_C, seed, held_out=80) for seed in range(200)]
    rejected = sum(each.p_value <= LEVEL for each in found)
    assert rejected <= 8  # of 200 at the level 0.01; more than 8 have a probability of 1e-4
    assert all(each.p_value <= LEVEL for each in found if each.moved)


def test_the_intervals_hold_the_true_frequencies() -> None:
    inside = []
    for seed in range(50):
        found = estimate(200, REVERSED_C, seed)
        inside.append((found.low_c <= REVERSED_C) & (found.high_c >= REVERSED_C))
        assert (found.low_c <= found.prior_c).all()
        assert (found.prior_c <= found.high_c).all()
    assert float(torch.stack(inside).double().mean()) > 0.9


def test_fewer_images_and_fewer_held_out_images_shrink_and_widen() -> None:
    few, many = estimate(60, REVERSED_C), estimate(2000, REVERSED_C, held_out=2000)
    assert ((few.high_c - few.low_c) > (many.high_c - many.low_c)).all()
    unsure, sure = estimate(2000, REVERSED_C, held_out=40), many
    assert ((unsure.high_c - unsure.low_c) > (sure.high_c - sure.low_c)).all()


def test_the_estimate_is_a_stationary_point_of_the_objective() -> None:
    """The calibration is fitted by gradient descent here."""
    found = estimate(500, REVERSED_C)
    logits_nc, _ = simulated(500, REVERSED_C, 0)
    known_nc, labels_n = simulated(200, UNIFORM_C, 1000)
    shift_c = _calibration(known_nc, labels_n)
    theta_c = (found.prior_c / TRAINED_C).log()
    theta_c = (theta_c - theta_c.mean()).requires_grad_()
    log_likelihood = (
        (shift_c[0] * logits_nc + shift_c[1:] + (TRAINED_C.log() + theta_c).log_softmax(0))
        .logsumexp(dim=1)
        .sum()
    )
    objective = 200 / 700 * log_likelihood - theta_c.square().sum() / (2 * found.variance)
    (gradient_c,) = torch.autograd.grad(objective, theta_c)
    assert float(gradient_c.abs().max()) < 0.1


def _calibration(logits_nc: Tensor, labels_n: Tensor) -> Tensor:
    """β, then b − log π + β·(log π − log P_λ̄), by plain gradient descent."""
    counts_c = torch.bincount(labels_n, minlength=4) + 0.5
    towards_c = TRAINED_C.log() - UNIFORM_C.log()
    fixed_c = (counts_c / counts_c.sum()).log() - TRAINED_C.log()
    free = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([free], lr=0.05)
    for _ in range(500):
        scores_nc = (1 + free[0]) * (logits_nc + towards_c) + free[1:] + fixed_c
        loss = torch.nn.functional.cross_entropy(scores_nc, labels_n, reduction="sum")
        (free.grad,) = torch.autograd.grad(loss + free.square().sum() / 2, [free])
        optimiser.step()
    scale = 1 + free[0].detach()
    shift_c = scale * towards_c + free[1:].detach() - TRAINED_C.log()
    return torch.cat([scale.unsqueeze(0), shift_c])


def test_one_image_and_classes_without_held_out_images_are_enough() -> None:
    logits_nc, _ = simulated(1, TRAINED_C, 0)
    known_nc, labels_n = simulated(30, UNIFORM_C, 1)
    kept = labels_n < 3
    found = estimate_prior(
        logits_nc,
        HeldOut(known_nc[kept], labels_n[kept]),
        trained_prior_c=UNIFORM_C,
        class_prior_c=TRAINED_C,
    )
    assert not found.moved
    assert bool(torch.isfinite(found.low_c).all() and torch.isfinite(found.high_c).all())


def test_a_scorer_that_is_right_about_every_held_out_image_is_no_problem() -> None:
    labels_n = torch.arange(4).repeat(20)
    logits_nc = 500.0 * torch.eye(4)[labels_n]
    found = estimate_prior(
        logits_nc, HeldOut(logits_nc, labels_n), trained_prior_c=UNIFORM_C, class_prior_c=TRAINED_C
    )
    assert found.moved
    assert_close(found.prior_c, UNIFORM_C, rtol=0, atol=0.05)


@pytest.mark.parametrize(("images", "step"), [(1, 1), (MOST_IMAGES, 1), (MOST_IMAGES + 1, 2)])
def test_large_sets_are_thinned(images: int, step: int) -> None:
    assert thinning(images, 10) == step


def test_thinning_bounds_the_memory_of_many_classes() -> None:
    assert 10_000 / thinning(10_000, 10_000) * 10_000 <= 2**23


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(value: float) -> None:
    logits_nc, labels_n = simulated(5, UNIFORM_C, 0)
    bad_nc = logits_nc.clone()
    bad_nc[1, 2] = value
    for predicted_nc, known_nc in ((bad_nc, logits_nc), (logits_nc, bad_nc)):
        with pytest.raises(NonFiniteError, match="are NaN or infinite"):
            estimate_prior(
                predicted_nc,
                HeldOut(known_nc, labels_n),
                trained_prior_c=UNIFORM_C,
                class_prior_c=TRAINED_C,
            )


@pytest.mark.parametrize(("images", "held_out"), [(0, 5), (5, 0)])
def test_no_images_are_refused(images: int, held_out: int) -> None:
    logits_nc, labels_n = simulated(5, UNIFORM_C, 0)
    with pytest.raises(DataError, match=r"there are no (held-out )?images"):
        estimate_prior(
            logits_nc[:images],
            HeldOut(logits_nc[:held_out], labels_n[:held_out]),
            trained_prior_c=UNIFORM_C,
            class_prior_c=TRAINED_C,
        )


def constant(logits_c: Tensor, class_prior_c: Tensor) -> PriorEstimate:
    """The estimate of a network whose logits do not depend on the image."""
    return estimate_prior(
        logits_c.expand(300, 4),
        HeldOut(logits_c.expand(200, 4), torch.arange(200) % 4),
        trained_prior_c=UNIFORM_C,
        class_prior_c=class_prior_c,
    )


def test_constant_posteriors_never_reject_the_training_prior() -> None:
    """Their covariance is rounding noise of about 1e-33: 60 of 60 were rejected."""
    for seed in range(60):
        logits_c = torch.randn(4, generator=torch.Generator().manual_seed(seed))
        found = constant(logits_c, TRAINED_C)
        assert found.p_value == 1.0
        assert not found.moved


def test_a_covariance_of_exactly_0_is_no_nan() -> None:
    assert constant(torch.zeros(4), UNIFORM_C).p_value == 1.0


def test_a_calibration_that_stops_early_has_not_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert estimate(300, TRAINED_C, factor=4.0).converged
    monkeypatch.setattr("balpoe.evaluation.prior_estimation._MAX_ITERATIONS", 1)
    found = estimate(300, TRAINED_C, factor=4.0)
    assert found.gap == 0  # of the training prior, which needs no steps
    assert not found.converged


def test_a_calibration_without_an_improving_step_has_not_converged() -> None:
    """β is 1 at the start and must be about 1e-6."""
    generator = torch.Generator().manual_seed(0)
    known_nc, logits_nc = (
        1e6 * torch.randn(images, 4, generator=generator) for images in (200, 300)
    )
    found = estimate_prior(
        logits_nc,
        HeldOut(known_nc, torch.arange(200) % 4),
        trained_prior_c=UNIFORM_C,
        class_prior_c=TRAINED_C,
    )
    assert not found.converged


@pytest.mark.parametrize(("most", "step"), [(1000, 1), (200, 1), (100, 2), (50, 4)])
def test_many_held_out_images_are_thinned_in_each_class(
    monkeypatch: pytest.MonkeyPatch, most: int, step: int
) -> None:
    """Class 3 has one image, which remains."""
    logits_nc, _ = simulated(20, REVERSED_C, 0)
    labels_n = torch.cat([torch.tensor([2, 3]), torch.arange(198) % 3])
    known_nc = 1.5 * torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
    kept_n = torch.cat([(labels_n == c).nonzero().squeeze(1)[::step] for c in range(4)])
    kept = HeldOut(known_nc[kept_n], labels_n[kept_n])
    priors = {"trained_prior_c": UNIFORM_C, "class_prior_c": TRAINED_C}
    expected = estimate_prior(logits_nc, kept, **priors)
    monkeypatch.setattr("balpoe.evaluation.prior_estimation.MOST_IMAGES", most)
    found = estimate_prior(logits_nc, HeldOut(known_nc, labels_n), **priors)
    assert found.held_out == len(kept_n)
    assert found.held_out <= most + 4
    assert_close(found.prior_c, expected.prior_c)
    assert_close(found.p_value, expected.p_value)


def test_an_estimator_estimates_several_sets() -> None:
    known_nc, labels_n = simulated(200, UNIFORM_C, 1000)
    estimator = PriorEstimator(
        HeldOut(known_nc, labels_n), trained_prior_c=UNIFORM_C, class_prior_c=TRAINED_C
    )
    for prior_c in (TRAINED_C, REVERSED_C):
        found, expected = estimator.estimate(simulated(500, prior_c, 0)[0]), estimate(500, prior_c)
        assert torch.equal(found.prior_c, expected.prior_c)
        assert found.p_value == expected.p_value
