"""SADE's loss as logit adjustment with biases of each class, and classes with equal counts.

E experts, C classes.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from balpoe.config import Configuration, ExpertsConfig
from balpoe.method.losses.sade.summed_losses import log_reversed_prior
from balpoe.method.priors import class_prior
from tests.method.losses.engine_step import (
    THREE_BEC,
    Step,
    configured,
    take_step,
    with_class_lambdas,
)

CountLists = st.lists(st.integers(1, 1000), min_size=2, max_size=8)


def step_of(configuration: Configuration, counts: tuple[int, ...]) -> Step:
    generator = torch.Generator().manual_seed(3)
    logits_bec = 2 * torch.randn(11, 3, len(counts), generator=generator)
    labels_b = torch.arange(11) % len(counts)
    return take_step(configuration, logits_bec, labels_b, counts=counts)


def assert_three_times(sade: Step, balpoe: Step) -> None:
    assert_close(sade.losses_e, 3 * balpoe.losses_e)
    assert_close(sade.gradients_bec, 3 * balpoe.gradients_bec, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_on_an_exponential_profile_it_is_three_times_balpoe_with_the_last_bias_minus_tau(
    tau: float,
) -> None:
    counts = (1000, 100, 10, 1)
    biased = ExpertsConfig(count=3, lambdas=(1.0, 0.0, -tau))
    balpoe = replace(configured("logit_adjustment", 3), experts=biased)
    assert_three_times(step_of(configured("sade", 3, tau=tau), counts), step_of(balpoe, counts))


@pytest.mark.parametrize("counts", [(100, 50, 20, 5), (300, 40, 40, 7, 2)])
@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_on_any_profile_it_is_three_times_balpoe_with_a_bias_for_each_class(
    tau: float, counts: tuple[int, ...]
) -> None:
    last_c = tau * log_reversed_prior(counts) / class_prior(counts).log()
    lambdas_ec = torch.stack([torch.ones_like(last_c), torch.zeros_like(last_c), last_c])
    sade = configured("sade", 3, tau=tau)
    assert_three_times(step_of(sade, counts), step_of(with_class_lambdas(lambdas_ec), counts))


def test_an_independent_expert_has_the_gradient_of_its_own_term_of_the_sum() -> None:
    shared = configured("sade", 3)
    independent = replace(shared, experts=replace(shared.experts, sharing="independent"))
    whole = take_step(shared, THREE_BEC)
    for expert in range(3):
        own = take_step(independent, THREE_BEC[:, expert : expert + 1], first_expert=expert)
        assert_close(own.gradients_bec[:, 0], whole.gradients_bec[:, expert])


def ranked(counts: tuple[int, ...], order: list[int]) -> Tensor:
    """π̄ by ranks, where `order` lists the classes from the rarest: the form of the paper."""
    shares = sorted(count / sum(counts) for count in counts)
    reversed_c = torch.zeros(len(counts), dtype=torch.float64)
    for rank, c in enumerate(order):
        reversed_c[c] = shares[len(counts) - 1 - rank]
    return reversed_c


@given(counts=CountLists.map(lambda counts: tuple(dict.fromkeys(counts))))
def test_ranks_are_reversed_where_no_two_classes_have_equal_counts(counts: tuple[int, ...]) -> None:
    order = [int(c) for c in np.argsort(counts)]
    assert_close(log_reversed_prior(counts).exp(), ranked(counts, order))


def test_classes_with_equal_counts_have_equal_shares_unlike_in_the_released_code() -> None:
    counts = (10, 10, 5)
    released_c = torch.tensor([0.4, 0.2, 0.4], dtype=torch.float64)
    assert_close(ranked(counts, [2, 0, 1]), released_c)  # one of the two orders of the sort
    found_c = log_reversed_prior(counts).exp()
    assert_close(found_c, torch.tensor([math.sqrt(0.4 * 0.2)] * 2 + [0.4], dtype=torch.float64))


@given(counts=CountLists.map(tuple), seed=st.integers(0, 99))
def test_the_order_of_the_classes_does_not_matter(counts: tuple[int, ...], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(counts))
    permuted = tuple(counts[c] for c in order)
    assert_close(log_reversed_prior(permuted), log_reversed_prior(counts)[order])


@given(counts=CountLists.map(tuple))
def test_reversing_ranks_leaves_the_mean_of_the_logarithms(counts: tuple[int, ...]) -> None:
    assert_close(log_reversed_prior(counts).sum(), class_prior(counts).log().sum())
