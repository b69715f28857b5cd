"""τ-normalisation: numbers of the released code (facebookresearch/classifier-balancing)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from balpoe.method.tau_normalisation import TAUS, best_tau, tau_normalised, tau_normalised_logits
from balpoe.models.classifiers import LinearClassifier, biases_and_norms

WEIGHT_CK = torch.tensor([[3.0, 4], [1, 0], [0, 0.5], [0.6, 0.8]])


@pytest.mark.parametrize(
    ("tau", "expected"),
    [
        (0.0, [[3, 4], [1, 0], [0, 0.5], [0.6, 0.8]]),
        (0.5, [[1.341641, 1.788854], [1, 0], [0, 0.707107], [0.6, 0.8]]),
        (0.7, [[0.972394, 1.296525], [1, 0], [0, 0.812252], [0.6, 0.8]]),
        (1.0, [[0.6, 0.8], [1, 0], [0, 1], [0.6, 0.8]]),
    ],
)
def test_the_weights_are_those_of_the_released_code(
    tau: float, expected: list[list[float]]
) -> None:
    torch.testing.assert_close(
        tau_normalised(WEIGHT_CK, tau), torch.tensor(expected), atol=1e-6, rtol=0
    )


def test_a_row_of_zeros_stays_as_it_is() -> None:
    assert not tau_normalised(torch.zeros(2, 3), 2.0).any()


@given(tau=st.floats(0, 2), seed=st.integers(0, 1000), scaled=st.booleans())
def test_logits_are_normalised_as_the_weights_are(tau: float, seed: int, scaled: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    classifier = LinearClassifier(5, 4)
    classifier.initialise(generator)
    torch.nn.init.normal_(classifier.bias, generator=generator)
    if scaled:
        classifier.add_class_scales()
        assert classifier.class_scales is not None
        torch.nn.init.normal_(classifier.class_scales, generator=generator)
    features_bk = torch.randn(6, 5, generator=generator)
    logits_bec = classifier(features_bk).detach().unsqueeze(1)
    biases_ec, norms_ec = biases_and_norms([classifier])
    weight_ck = classifier.weight.detach().double()
    if classifier.class_scales is not None:
        weight_ck = weight_ck * classifier.class_scales.detach().double().unsqueeze(1)
    torch.testing.assert_close(
        tau_normalised_logits(logits_bec, biases_ec, norms_ec, tau)[:, 0],
        features_bk.double() @ tau_normalised(weight_ck, tau).T,
        atol=1e-4,
        rtol=1e-4,
    )


def test_the_best_tau_is_that_of_the_highest_balanced_accuracy_and_the_lowest_of_equal_ones() -> (
    None
):
    # class 1 has half the norm: its margins are won from τ = 0.5 on, and those of class 0 lost
    # above 1.5, as 2^0.5 = 1.41 and 2^1.5 = 2.83
    norms_ec, biases_ec = torch.tensor([[2.0, 1.0]]), torch.zeros(1, 2)
    logits_nec = torch.tensor([[[1.4, 1.0]], [[2.8, 1.0]], [[2.8, 1.0]], [[2.8, 1.0]]])
    labels_n = torch.tensor([1, 0, 0, 0])
    assert best_tau(logits_nec, labels_n, biases_ec, norms_ec) == 0.5
    # plain accuracy does not change the choice of the rare class
    mixed_nec = torch.tensor([[[1.4, 1.0]], [[1.2, 1.0]], [[2.8, 1.0]], [[2.8, 1.0]]])
    assert best_tau(mixed_nec, labels_n, biases_ec, norms_ec) == 0.5


def test_without_a_difference_nothing_is_normalised() -> None:
    chosen = best_tau(
        torch.tensor([[[9.0, 0.0]]]), torch.tensor([0]), torch.zeros(1, 2), torch.ones(1, 2)
    )
    assert chosen == TAUS[0] == 0.0
    assert len(TAUS) == 21
    assert TAUS[-1] == 2.0
