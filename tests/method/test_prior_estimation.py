"""The estimated test prior against its closed form, a direct maximisation and known mixtures.

X points, B images, C classes.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor
from torch.testing import assert_close

from balpoe.errors import DataError, NonFiniteError
from balpoe.evaluation.prior_estimation import estimate_prior, likelihood_ratios
from balpoe.method.priors import class_prior, target_prior

seeds = st.integers(0, 2**32 - 1)


def finite_mixture(test_images_c: list[int], seed: int) -> tuple[Tensor, Tensor]:
    """Images of a mixture of six points, as often as their exact probabilities say.

    Returns the logs of P(x|y) [B, C] of every image and the class frequencies [C].
    """
    generator = np.random.default_rng(seed)
    likelihood_xc = generator.multinomial(40, generator.dirichlet(np.ones(6), 3)).T + 1
    images_x = likelihood_xc @ np.array(test_images_c)
    log_likelihood_xc = torch.from_numpy(np.log(likelihood_xc))
    frequencies_c = torch.tensor(test_images_c, dtype=torch.float64)
    repeated = torch.from_numpy(np.repeat(np.arange(6), images_x))
    return log_likelihood_xc[repeated], frequencies_c / frequencies_c.sum()


def exact_logits(log_likelihood_bc: Tensor, trained_prior_c: Tensor) -> Tensor:
    constant_b1 = torch.linspace(-3, 3, len(log_likelihood_bc)).unsqueeze(1)
    return log_likelihood_bc + trained_prior_c.log() + constant_b1


@pytest.mark.parametrize("test_images_c", [[1, 1, 1], [9, 3, 1], [1, 2, 20], [5, 0, 1]])
@pytest.mark.parametrize("lam", [1.0, 0.0, -0.25])
def test_exact_posteriors_of_a_finite_mixture_give_back_its_frequencies(
    test_images_c: list[int], lam: float
) -> None:
    log_likelihood_bc, frequencies_c = finite_mixture(test_images_c, seed=3)
    trained_c = target_prior(class_prior((70, 20, 10)), lam)
    ratios_bc = likelihood_ratios(
        exact_logits(log_likelihood_bc, trained_c), trained_prior_c=trained_c
    )
    estimate = estimate_prior(ratios_bc, tolerance=1e-8, max_iterations=100_000)
    assert estimate.converged
    assert_close(estimate.prior_c, frequencies_c, rtol=0, atol=5e-4)


def test_the_estimate_is_that_of_a_direct_maximisation_of_the_likelihood() -> None:
    logits_bc = 2 * torch.randn(300, 4, generator=torch.Generator().manual_seed(1)).double()
    logits_bc[:120, 2] += 2
    trained_c = class_prior((40, 30, 20, 10))
    ratios_bc = likelihood_ratios(logits_bc, trained_prior_c=trained_c)
    estimate = estimate_prior(ratios_bc, tolerance=1e-10, max_iterations=100_000)

    weights = (logits_bc.softmax(dim=-1) / trained_c).numpy()

    def loss(free: np.ndarray) -> float:
        shares = np.exp(np.append(free, 0.0))
        return -float(np.log(weights @ (shares / shares.sum())).mean())

    best = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
    direct = torch.from_numpy(np.append(best.x, 0.0)).softmax(dim=0)
    assert_close(estimate.prior_c, direct, rtol=0, atol=1e-5)


@given(seed=seeds, iterations=st.integers(0, 30))
def test_the_gap_bounds_what_the_likelihood_can_still_gain(seed: int, iterations: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ratios_bc = torch.rand(40, 3, generator=generator) ** 4 + 1e-6
    early = estimate_prior(ratios_bc, tolerance=0.0, max_iterations=iterations)
    best = estimate_prior(ratios_bc, max_iterations=20_000)

    def mean_log_likelihood(prior_c: Tensor) -> float:
        return float((ratios_bc.double() @ prior_c).log().mean())

    missing = mean_log_likelihood(best.prior_c) - mean_log_likelihood(early.prior_c)
    assert early.iterations <= iterations
    assert missing <= early.gap + 1e-9


def test_every_iteration_raises_the_likelihood() -> None:
    ratios_bc = torch.rand(50, 5, generator=torch.Generator().manual_seed(0)) ** 6
    likelihoods = [
        float(
            (ratios_bc.double() @ estimate_prior(ratios_bc, max_iterations=k).prior_c).log().mean()
        )
        for k in range(15)
    ]
    assert all(later > earlier for earlier, later in pairwise(likelihoods))


def test_certain_predictions_give_their_own_frequencies() -> None:
    logits_bc = torch.tensor([[200.0, 0, 0]] * 3 + [[0, 200.0, 0]])
    uniform_c = torch.full((3,), 1 / 3)
    estimate = estimate_prior(likelihood_ratios(logits_bc, trained_prior_c=uniform_c))
    expected = torch.tensor([0.75, 0.25, 0.0], dtype=torch.float64)
    assert_close(estimate.prior_c, expected, rtol=0, atol=1e-12)


def test_images_that_say_nothing_leave_the_uniform() -> None:
    trained_c = class_prior((6, 3, 1))
    logits_bc = trained_c.log().expand(10, 3)
    estimate = estimate_prior(likelihood_ratios(logits_bc, trained_prior_c=trained_c))
    assert estimate.iterations == 0
    assert_close(estimate.prior_c, torch.full((3,), 1 / 3).double())


def test_an_estimate_that_is_not_finished_says_so() -> None:
    ratios_bc = torch.rand(50, 5, generator=torch.Generator().manual_seed(0)) ** 6
    estimate = estimate_prior(ratios_bc, tolerance=1e-9, max_iterations=2)
    assert not estimate.converged
    assert estimate.iterations == 2
    assert estimate.gap > 1e-9


def test_slices_of_a_large_table_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ratios_bc = torch.rand(50, 5, generator=torch.Generator().manual_seed(0)) ** 3
    whole = estimate_prior(ratios_bc)
    monkeypatch.setattr("balpoe.evaluation.prior_estimation._ELEMENTS", 35)
    assert_close(estimate_prior(ratios_bc).prior_c, whole.prior_c, rtol=1e-9, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_logits_are_refused(value: float) -> None:
    logits_bc = torch.zeros(4, 3)
    logits_bc[2, 1] = value
    with pytest.raises(NonFiniteError, match="logits: 1 of"):
        likelihood_ratios(logits_bc, trained_prior_c=class_prior((1, 1, 1)))


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="no images to estimate a prior from"):
        estimate_prior(torch.zeros(0, 3))
