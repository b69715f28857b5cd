"""τ-normalisation: numbers of the released code (facebookresearch/classifier-balancing)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from balpoe.method.tau_normalisation import tau_normalised, tau_normalised_logits
from balpoe.method.tau_search import TAUS, best_tau
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


def test_the_best_tau_has_the_highest_balanced_accuracy_and_is_the_lowest_of_equal_ones() -> None:
    # class 1 has half the norm: it wins from τ = 0.5 on, where 2^0.5 > 1.4, and class 0 loses its
    # images from τ = 1.5 on, where 2^1.5 > 2.8
    norms_ec, biases_ec = torch.tensor([[2.0, 1.0]]), torch.zeros(1, 2)
    labels_n = torch.tensor([1, 0, 0, 0])

    def best(margins: tuple[float, ...]) -> float:
        logits_nec = torch.tensor([[[margin, 1.0]] for margin in margins])

        def scores_nc(tau: float) -> torch.Tensor:
            return tau_normalised_logits(logits_nec, biases_ec, norms_ec, tau).mean(dim=1)

        return best_tau(scores_nc, labels_n)

    assert best((1.4, 2.8, 2.8, 2.8)) == 0.5
    # one of three images of class 0 is given up for the only one of class 1
    assert best((1.4, 1.2, 2.8, 2.8)) == 0.5


def test_without_a_difference_nothing_is_corrected() -> None:
    assert best_tau(lambda tau: torch.tensor([[9.0, 0.0]]), torch.tensor([0])) == TAUS[0] == 0.0
    assert len(TAUS) == 21
    assert TAUS[-1] == 2.0
