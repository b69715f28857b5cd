"""The classifiers against torch's own cosine similarity and linear product."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from balpoe.config import ModelConfig
from balpoe.models.classifiers import CosineClassifier, LinearClassifier, classifier

SCALE = 30.0


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cosine(features: int, classes: int, seed: int = 0) -> CosineClassifier:
    made = CosineClassifier(features, classes, SCALE)
    made.initialise(torch.Generator().manual_seed(seed))
    return made


@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.floats(-6, 6).map(lambda exponent: 10**exponent),
    classes=st.integers(1, 20),
)
@settings(max_examples=50, deadline=None)
def test_cosine_logits_are_the_scaled_cosine_whatever_the_lengths(
    seed: int, length: float, classes: int
) -> None:
    module = cosine(16, classes, seed)
    features_bk = normal(4, 16, seed=seed) * length
    with torch.no_grad():
        module.weight.mul_(1 / length)
        logits_bc = module(features_bk)
    expected = functional.cosine_similarity(
        features_bk[:, None].double(), module.weight[None].detach().double(), dim=2, eps=0
    )
    torch.testing.assert_close(logits_bc, (SCALE * expected).float(), rtol=1e-4, atol=1e-4)
    assert logits_bc.abs().max() <= SCALE * (1 + 1e-6)


def test_a_feature_along_a_class_weight_reaches_the_scale() -> None:
    module = cosine(8, 3)
    logits_bc = module(5.0 * module.weight.detach())
    torch.testing.assert_close(logits_bc.diagonal(), torch.full((3,), SCALE))


def test_features_that_are_all_zero_favour_no_class_and_keep_gradients_finite() -> None:
    module = cosine(8, 3)
    features_bk = torch.zeros(2, 8, requires_grad=True)
    logits_bc = module(features_bk)
    logits_bc.sum().backward()
    assert torch.equal(logits_bc, torch.zeros(2, 3))
    assert features_bk.grad is not None
    assert features_bk.grad.isfinite().all()
    assert module.weight.grad is not None
    assert module.weight.grad.isfinite().all()


def test_cosine_weights_start_on_the_unit_sphere_in_no_preferred_direction() -> None:
    weight_ck = cosine(64, 5000).weight.detach()
    torch.testing.assert_close(weight_ck.norm(dim=1), torch.ones(5000))
    # The mean of n uniform directions has squared length 1/n on average.
    assert 0.5 / 5000 < weight_ck.mean(dim=0).square().sum() < 2.0 / 5000


def test_linear_logits_are_the_product_plus_the_bias() -> None:
    module = LinearClassifier(6, 4)
    module.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        module.bias.copy_(torch.arange(4.0))
    features_bk = normal(5, 6)
    expected = (features_bk @ module.weight.T + torch.arange(4.0)).detach()
    torch.testing.assert_close(module(features_bk).detach(), expected)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_autocast_and_bfloat16_features_change_no_bit_of_a_classifier(
    name: Literal["cosine", "linear"],
) -> None:
    module = classifier(ModelConfig(classifier=name), features=64, classes=10)
    module.initialise(torch.Generator().manual_seed(1))
    features_bk = normal(8, 64).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        logits_bc = module(features_bk)
    assert logits_bc.dtype == torch.float32
    assert torch.equal(logits_bc, module(features_bk.float()))


def test_the_configuration_names_the_classifier_and_its_scale() -> None:
    made = classifier(ModelConfig(classifier="cosine", cosine_scale=7.0), features=4, classes=2)
    made.initialise(torch.Generator().manual_seed(0))
    assert isinstance(made, CosineClassifier)
    assert made(made.weight)[0, 0].item() == pytest.approx(7.0)
    linear = classifier(ModelConfig(classifier="linear"), features=4, classes=2)
    assert isinstance(linear, LinearClassifier)
