"""Corrections by τ: numbers of `METHODS_TO_COMPARE` (Menon et al. 2021), priors and the choice."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from balpoe.evaluation.tau_choices import (
    PUBLISHED_TAU,
    CorrectedImages,
    LogitAdjustment,
    TauNormalisation,
    tau_choice,
)
from balpoe.method.priors import class_prior, target_prior
from tests.scalar_priors import scalar_priors

COUNTS = (100, 50, 20, 5)
PRIOR_C = class_prior(COUNTS)
F_NC = torch.tensor([[2.0, 0.5, -1.0, 0.3], [0.1, 1.2, 0.4, -0.7], [-0.5, 0.0, 1.5, 0.8]])
F_N1C = F_NC.unsqueeze(1)
PLAIN = LogitAdjustment(COUNTS, scalar_priors(PRIOR_C, (1.0,)))


@pytest.mark.parametrize(
    ("tau", "predicted"), [(0.5, (0, 1, 2)), (1.0, (3, 3, 3)), (1.5, (3, 3, 3))]
)
def test_the_predictions_are_those_of_the_released_code(
    tau: float, predicted: tuple[int, ...]
) -> None:
    assert tuple(PLAIN.scores(F_N1C, tau).argmax(dim=1).tolist()) == predicted


def test_the_scores_are_those_of_the_released_code() -> None:
    expected = torch.tensor([2.559616, 1.752763, 1.169054, 3.855348], dtype=torch.float64)
    torch.testing.assert_close(PLAIN.scores(F_N1C, 1.0)[0], expected, atol=1e-5, rtol=0)


@given(lam=st.floats(-2, 2), tau=st.floats(0, 2))
def test_a_lambda_expert_aims_at_lambda_minus_tau(lam: float, tau: float) -> None:
    correction = LogitAdjustment(COUNTS, scalar_priors(PRIOR_C, (lam,)))
    torch.testing.assert_close(correction.aimed_prior(tau), target_prior(PRIOR_C, lam - tau))


def test_the_ensemble_is_adjusted_as_its_experts_are() -> None:
    generator = torch.Generator().manual_seed(0)
    logits_nec = torch.randn(5, 3, 4, generator=generator)
    each_nec = torch.stack(
        [PLAIN.scores(logits_nec[:, expert : expert + 1], 0.7) for expert in range(3)], dim=1
    )
    torch.testing.assert_close(PLAIN.scores(logits_nec, 0.7), each_nec.mean(dim=1))


def images(logits_nec: Tensor, labels: tuple[int, ...]) -> CorrectedImages:
    return CorrectedImages(PLAIN, logits_nec, torch.tensor(labels), COUNTS)


def test_tau_is_chosen_on_validation_and_scored_on_the_test_set() -> None:
    generator = torch.Generator().manual_seed(1)
    labels_n = torch.arange(4).repeat(50)
    truth_nc = 4 * torch.nn.functional.one_hot(labels_n, 4).double()
    noise_nc = 1.5 * torch.randn(200, 4, generator=generator, dtype=torch.float64)
    trained_n1c = (truth_nc + noise_nc + PRIOR_C.log()).unsqueeze(1)
    validation = images(trained_n1c[:100], tuple(labels_n[:100].tolist()))
    test = images(trained_n1c[100:], tuple(labels_n[100:].tolist()))
    choice = tau_choice(test, validation, "here")
    assert choice.chosen is not None
    tau = choice.chosen.tau
    assert [row.tau for row in choice.rows] == sorted({0.0, PUBLISHED_TAU, tau})
    accuracies = {}
    for step in range(21):
        hits_n = (trained_n1c[:100, 0] - step / 10 * PRIOR_C.log()).argmax(dim=1) == labels_n[:100]
        accuracies[step / 10] = hits_n.double().mean()
    assert accuracies[tau] == max(accuracies.values())
    assert tau == min(t for t, accuracy in accuracies.items() if accuracy == accuracies[tau])
    assert tau > 0
    assert choice.chosen.validation is not None
    assert choice.chosen.validation.values["balanced_accuracy"] == pytest.approx(accuracies[tau])
    hits_n = (trained_n1c[100:, 0] - tau * PRIOR_C.log()).argmax(dim=1) == labels_n[100:]
    expected = hits_n.double().mean().item()
    assert choice.chosen.test.values["balanced_accuracy"] == pytest.approx(expected)


def test_without_images_nothing_is_chosen() -> None:
    choice = tau_choice(images(F_N1C, (0, 3, 2)), None, "none")
    assert choice.chosen is None
    assert [(row.tau, row.validation) for row in choice.rows] == [(0.0, None), (1.0, None)]
    assert choice.origin == "none"


def test_normalised_classifiers_are_taken_to_aim_at_equal_frequencies() -> None:
    correction = TauNormalisation(torch.zeros(1, 4), torch.tensor([[5.0, 1, 0.5, 1]]).double())
    torch.testing.assert_close(correction.aimed_prior(0.7), torch.full((4,), 0.25).double())
    scores_nc = correction.scores(F_N1C, 1.0)
    torch.testing.assert_close(scores_nc, F_NC.double() / torch.tensor([5.0, 1, 0.5, 1]))
