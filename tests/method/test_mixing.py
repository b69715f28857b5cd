"""ξ against its distribution, and mixtures of images against their algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, kstest
from torch import Tensor
from torch.testing import assert_close

from balpoe.config.mixing import Pairs
from balpoe.method.mixers.mixup import Mixup

seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0, 1, width=32)


def draw_xi(alpha: float, steps: int, generator: np.random.Generator) -> Tensor:
    return Mixup().draw(alpha, steps, 8, generator)


def mix_images(images: Tensor, partner_images: Tensor, xi: Tensor) -> Tensor:
    labels_b = torch.zeros(len(images), dtype=torch.int64)
    mixed = Mixup().mix(images, partner_images, xi, Pairs(labels_b, labels_b, torch.ones(1)))
    assert mixed.xi is xi
    return mixed.images_bdhw


def random_images(seed: int, count: int = 6) -> Tensor:
    generator = np.random.default_rng(seed)
    images = torch.from_numpy(generator.normal(size=(count, 3, 4, 4)).astype(np.float32))
    return images.to(memory_format=torch.channels_last)


def permutation(seed: int, count: int = 6) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).permutation(count))


@pytest.mark.parametrize("alpha", [0.2, 0.4, 1.0, 3.0])
def test_xi_follows_the_symmetric_beta_distribution(alpha: float) -> None:
    xi_s = draw_xi(alpha, 4000, np.random.default_rng(0))
    assert kstest(xi_s.numpy(), beta(alpha, alpha).cdf).pvalue > 0.01


@given(seed=seeds, alpha=st.floats(2**-20, 100))
def test_xi_is_a_float32_share_for_every_alpha(seed: int, alpha: float) -> None:
    xi_s = draw_xi(alpha, 50, np.random.default_rng(seed))
    assert xi_s.shape == (50,)
    assert xi_s.dtype == torch.float32
    assert ((xi_s >= 0) & (xi_s <= 1)).all()


def test_xi_depends_on_its_generator_alone() -> None:
    first, again, other = (draw_xi(0.4, 9, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@given(seed=seeds, xi=shares)
def test_a_mixture_is_the_convex_combination_of_its_parts(seed: int, xi: float) -> None:
    images, partners = random_images(seed), random_images(seed + 1)
    mixed = mix_images(images, partners, torch.tensor(xi))
    expected = xi * images.double() + (1 - xi) * partners.double()
    assert_close(mixed.double(), expected, rtol=0, atol=1e-6)


@given(seed=seeds)
def test_a_mixture_of_one_part_is_that_part_to_the_last_bit(seed: int) -> None:
    images, partners = random_images(seed), random_images(seed + 1)
    assert torch.equal(mix_images(images, partners, torch.tensor(1.0)), images)
    assert torch.equal(mix_images(images, partners, torch.tensor(0.0)), partners)


@given(seed=seeds, xi=shares)
def test_an_image_mixed_with_itself_stays_as_it_is(seed: int, xi: float) -> None:
    images = random_images(seed)
    assert torch.equal(mix_images(images, images, torch.tensor(xi)), images)


@given(seed=seeds, xi=shares)
def test_exchanging_partners_and_their_shares_changes_nothing(seed: int, xi: float) -> None:
    images, partners = random_images(seed), random_images(seed + 1)
    assert_close(
        mix_images(images, partners, torch.tensor(xi)),
        mix_images(partners, images, 1 - torch.tensor(xi)),
        rtol=0,
        atol=1e-6,
    )


@given(seed=seeds, xi=shares)
def test_mixing_within_a_batch_leaves_its_mean_alone(seed: int, xi: float) -> None:
    images = random_images(seed)
    mixed = mix_images(images, images[permutation(seed)], torch.tensor(xi))
    assert_close(mixed.mean(dim=0), images.mean(dim=0), rtol=0, atol=1e-6)


@given(seed=seeds, xi=shares)
def test_mixing_commutes_with_reordering_the_batch(seed: int, xi: float) -> None:
    images, partners, order = random_images(seed), random_images(seed + 1), permutation(seed)
    assert torch.equal(
        mix_images(images[order], partners[order], torch.tensor(xi)),
        mix_images(images, partners, torch.tensor(xi))[order],
    )


def test_mixed_images_stay_channels_last() -> None:
    images = random_images(0)
    mixed = mix_images(images, images[permutation(0)], torch.tensor(0.3))
    assert mixed.is_contiguous(memory_format=torch.channels_last)
