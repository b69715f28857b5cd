from __future__ import annotations

import math

import pytest
import torch

from balpoe.errors import NonFiniteError
from balpoe.evaluation.bayes_distance import distance_to_bayes

LIKELIHOOD_YX = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], dtype=torch.float64)


def observed() -> tuple[torch.Tensor, torch.Tensor]:
    """Ten images of each class, in the proportions of P(x|y); returns x and y."""
    x = torch.tensor([0] * 7 + [1] * 2 + [2] + [0] + [1] * 3 + [2] * 6)
    y = torch.tensor([0] * 10 + [1] * 10)
    return x, y


@pytest.mark.parametrize("prior", [(0.5, 0.5), (0.9, 0.1)])
def test_the_exact_posterior_is_at_distance_zero(prior: tuple[float, float]) -> None:
    x, y = observed()
    log_likelihood_bc = LIKELIHOOD_YX.T.log()[x]
    prior_c = torch.tensor(prior, dtype=torch.float64)
    distance = distance_to_bayes(
        log_likelihood_bc + prior_c.log() + 3, y, log_likelihood_bc, prior_c
    )
    assert distance.posterior_kl == pytest.approx(0, abs=1e-12)


def test_a_uniform_guess_has_the_distances_worked_out_by_hand() -> None:
    x, y = observed()
    log_likelihood_bc = LIKELIHOOD_YX.T.log()[x]
    uniform = torch.full((2,), 0.5, dtype=torch.float64)
    distance = distance_to_bayes(torch.zeros(20, 2), y, log_likelihood_bc, uniform)
    # argmax of a tie is class 0: all of class 0 right, none of class 1
    assert distance.balanced_accuracy_gap == pytest.approx((0.7 + 0.9) / 2 - 0.5)
    posterior_xy = LIKELIHOOD_YX.T / LIKELIHOOD_YX.T.sum(dim=1, keepdim=True)
    kl_x = (posterior_xy * (posterior_xy.log() + math.log(2))).sum(dim=1)
    expected = sum(float(LIKELIHOOD_YX[c] @ kl_x) for c in (0, 1)) / 2
    assert distance.posterior_kl == pytest.approx(expected)


def test_a_class_that_cannot_be_contributes_nothing() -> None:
    log_likelihood_bc = torch.tensor([[0.0, -torch.inf]], dtype=torch.float64)
    uniform = torch.full((2,), 0.5, dtype=torch.float64)
    distance = distance_to_bayes(torch.zeros(1, 2), torch.tensor([0]), log_likelihood_bc, uniform)
    assert distance.posterior_kl == pytest.approx(math.log(2))


def test_logits_that_are_not_finite_are_refused() -> None:
    uniform = torch.full((2,), 0.5, dtype=torch.float64)
    with pytest.raises(NonFiniteError):
        distance_to_bayes(
            torch.tensor([[math.nan, 0.0]]), torch.tensor([0]), torch.zeros(1, 2), uniform
        )
