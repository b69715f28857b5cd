"""Every loss on one small input, against numbers from the released code of its authors.

The code ran on float32, so numbers agree to 1e-5. Numbers that were evaluated from a formula alone
are in tests that say so.

B batch, E experts, C classes.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from balpoe.config import with_parameters
from balpoe.config.published_points import PAPERS
from balpoe.method.calibration_bins import reliability_bins
from balpoe.method.class_weights import effective_number_weights
from balpoe.method.losses.bayias import Bayias
from balpoe.method.losses.label_aware_smoothing.smoothed_labels import class_smoothing
from balpoe.method.losses.lade.disentangling import disentangling_term
from balpoe.method.losses.ldam.margin_cross_entropy import class_margins
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.losses.ride.diverse_experts import class_temperatures
from balpoe.method.losses.sade.summed_losses import log_reversed_prior
from balpoe.method.priors import adjust_to_prior, class_prior, target_prior
from tests.method.losses.engine_step import (
    COUNTS,
    F_BC,
    LABELS_B,
    ONE_B1C,
    PARTNER_LABELS_B,
    THREE_BEC,
    XI,
    configured,
    context_of,
    take_step,
    with_class_lambdas,
)

PRIOR_C = class_prior(COUNTS)


def approximately(value: float) -> object:
    return pytest.approx(value, abs=1e-5)


def assert_near(found: torch.Tensor, expected: list[float]) -> None:
    assert_close(found.double(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-5)


def test_the_cross_entropy_of_each_image_and_its_mean() -> None:
    configuration = configured("cross_entropy")
    criterion = configuration.loss.criterion(context_of(configuration))
    assert_near(criterion.per_image(0, F_BC, LABELS_B), [0.375419, 2.558436, 0.617912])
    assert take_step(configuration, ONE_B1C).mean == approximately(1.183922)


def test_bayias_is_balanced_softmax() -> None:
    configuration = configured("bayias")
    criterion = configuration.loss.criterion(context_of(configuration))
    assert_near(criterion.per_image(0, F_BC, LABELS_B), [0.122799, 4.823393, 0.858089])
    assert take_step(configuration, ONE_B1C).mean == approximately(1.934760)
    bias_1c = Bayias().adjustments(context_of(configuration))
    assert_near(bias_1c[0], [0.826679, 0.133531, -0.782759, -2.169054])


def test_bayias_with_a_known_test_prior_is_logit_adjustment_with_a_bias_for_each_class() -> None:
    lambdas_1c = (PRIOR_C.flip(0).log() / PRIOR_C.log()).unsqueeze(0)
    assert take_step(with_class_lambdas(lambdas_1c), ONE_B1C).mean == approximately(3.127067)


def test_balpoe_with_and_without_mixup() -> None:
    configuration = configured("logit_adjustment", 3)
    step = take_step(configuration, THREE_BEC)
    assert_near(step.losses_e, [1.183922, 1.848564, 4.123054])
    assert step.mean == approximately(2.385180)
    mixed: dict[str, Any] = {"partner_labels_b": PARTNER_LABELS_B, "xi": XI}
    assert take_step(configuration, THREE_BEC, **mixed).mean == approximately(2.655847)
    plain = configured("cross_entropy")
    assert take_step(plain, ONE_B1C, **mixed).mean == approximately(1.860589)


def test_the_product_of_the_experts_for_equal_and_for_known_class_frequencies() -> None:
    mean_bc = product_of_experts(THREE_BEC)
    assert_near(mean_bc[0].softmax(0), [0.488803, 0.198733, 0.080799, 0.231665])
    known_c = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    uniform_c = target_prior(PRIOR_C, 0.0)
    adjusted_bc = adjust_to_prior(mean_bc, trained_prior_c=uniform_c, test_prior_c=known_c)
    assert_near(adjusted_bc[0].softmax(0), [0.237823, 0.193383, 0.117936, 0.450859])


def test_a_biased_product_for_known_class_frequencies_as_evaluated_from_the_formula() -> None:
    # the released code adds log P_test alone, as if the experts were not biased
    known_c = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    adjusted_bc = adjust_to_prior(
        product_of_experts(THREE_BEC),
        trained_prior_c=target_prior(PRIOR_C, -0.25),
        test_prior_c=known_c,
    )
    assert_near(adjusted_bc[0].softmax(0), [0.343424, 0.234822, 0.113889, 0.307865])


def test_the_calibration_errors_of_five_images() -> None:
    probabilities_bc = torch.tensor(
        [
            [0.9, 0.05, 0.03, 0.02],
            [0.4, 0.35, 0.15, 0.1],
            [0.3, 0.3, 0.3, 0.1],
            [0.6, 0.2, 0.1, 0.1],
            [0.05, 0.05, 0.1, 0.8],
        ],
        dtype=torch.float64,
    )
    bins = reliability_bins(probabilities_bc, torch.tensor([0, 1, 2, 0, 3]))
    assert bins.ece == approximately(0.28)
    assert bins.mce == approximately(0.40)


@pytest.mark.parametrize(("gamma", "expected"), [(1.0, 0.920889), (2.0, 0.781885)])
def test_the_focal_loss(gamma: float, expected: float) -> None:
    assert take_step(configured("focal", gamma=gamma), ONE_B1C).mean == approximately(expected)


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        (0.9999, [0.143470, 0.286225, 0.714490, 2.855816]),
        (0.999, [0.149050, 0.290827, 0.716300, 2.843824]),
        (0.99, [0.210282, 0.337504, 0.732110, 2.720104]),
    ],
)
def test_the_weights_of_effective_numbers(beta: float, expected: list[float]) -> None:
    assert_near(effective_number_weights(COUNTS, beta), expected)


def test_the_class_balanced_cross_entropy_divided_by_the_weights() -> None:
    by_batch = configured("class_balanced", beta=0.9999, normalisation="batch")
    assert take_step(by_batch, ONE_B1C).mean == approximately(2.100766)
    deferred = configured("cross_entropy", reweighting=0.9999)
    assert take_step(deferred, ONE_B1C, epoch=159).mean == approximately(1.183922)
    assert take_step(deferred, ONE_B1C, epoch=160).mean == approximately(2.100766)


def test_the_class_balanced_cross_entropy_divided_by_images_as_evaluated_from_the_formula() -> None:
    by_images = configured("class_balanced", beta=0.9999, normalisation="images")
    assert take_step(by_images, ONE_B1C).mean == approximately(2.600591)


@pytest.mark.parametrize(
    ("form", "gamma", "expected"),
    [
        ("weighted", 1.0, 2.487307),
        ("sigmoid", 0.5, 3.781359),
        ("sigmoid", 1.0, 3.048161),
        ("sigmoid", 2.0, 2.022856),
    ],
)
def test_the_class_balanced_focal_loss(form: str, gamma: float, expected: float) -> None:
    configuration = configured("class_balanced_focal", beta=0.9999, gamma=gamma, form=form)
    assert take_step(configuration, ONE_B1C).mean == approximately(expected)


def test_the_class_balanced_focal_loss_of_a_softmax_as_evaluated_from_the_formula() -> None:
    configuration = configured("class_balanced_focal", beta=0.9999, gamma=1.0, form="softmax")
    assert take_step(configuration, ONE_B1C).mean == approximately(2.320358)


def test_ldam_with_deferred_class_weights() -> None:
    assert_near(class_margins(COUNTS, 0.5), [0.236435, 0.281171, 0.353553, 0.5])
    configuration = configured("ldam", reweighting=0.9999)
    cosines_b1c = ONE_B1C / 4
    assert take_step(configuration, 30 * cosines_b1c, epoch=159).mean == approximately(11.545177)
    assert take_step(configuration, 30 * cosines_b1c, epoch=160).mean == approximately(23.527418)


@pytest.mark.parametrize(("tau", "expected"), [(2.0, 9.065509), (1.0, 7.339039)])
def test_sade(tau: float, expected: float) -> None:
    step = take_step(configured("sade", 3, tau=tau), THREE_BEC)
    assert step.mean == approximately(expected)
    assert_near(step.losses_e[:2] / 3, [1.183922, 1.848564])
    if tau == 2:
        assert_near(step.losses_e[2:] / 3, [6.033022])
    assert_near(log_reversed_prior(COUNTS).exp(), [0.028571, 0.114286, 0.285714, 0.571429])


@pytest.mark.parametrize(
    ("settings", "epoch", "expected"),
    [
        ({"rho": 0.05, "diversity": -0.45}, 0, 37.069672),
        ({"rho": 0.05, "diversity": -0.45}, 159, 37.069672),
        ({"rho": 0.05, "diversity": -0.45}, 160, 57.158783),
        ({"rho": 0.02, "diversity": -0.2}, 160, 58.879379),
    ],
)
def test_ride(settings: dict[str, float], epoch: int, expected: float) -> None:
    configuration = configured("ride", 3, reweighting=0.9999, **settings)
    assert take_step(configuration, 30 * THREE_BEC / 4, epoch=epoch).mean == approximately(expected)


def test_the_temperatures_of_ride() -> None:
    assert_near(class_temperatures(PRIOR_C, 0.05), [1.0, 0.946309, 0.914094, 0.897987])


@pytest.mark.parametrize(("rho", "expected"), [(0.1, -0.670776), (0.01, -0.722664)])
def test_the_batch_term_of_lade(rho: float, expected: float) -> None:
    term = disentangling_term(F_BC, LABELS_B, PRIOR_C.float(), rho)
    assert float(term) == approximately(expected)


def test_lade() -> None:
    configuration = configured("lade", alpha=0.1, rho=0.1)
    assert take_step(configuration, ONE_B1C).mean == approximately(1.867682)


@pytest.mark.parametrize(
    ("profile", "expected"), [("concave", 1.419698), ("linear", 1.410501), ("convex", 1.397135)]
)
def test_label_aware_smoothing(profile: str, expected: float) -> None:
    configuration = configured("label_aware_smoothing", head=0.4, tail=0.1, profile=profile)
    assert take_step(configuration, ONE_B1C).mean == approximately(expected)


def test_the_concave_profile_of_label_aware_smoothing() -> None:
    smoothing_c = class_smoothing(COUNTS, 0.4, 0.1, "concave")
    assert_near(smoothing_c, [0.4, 0.303184, 0.173646, 0.1])


def test_remix_drw_divides_by_the_number_of_images_as_the_code_of_its_authors() -> None:
    """`_remix_drw.py` of ntucllab/imbalanced-DL: weighted losses of images, then their mean."""
    configuration = with_parameters(configured("cross_entropy"), PAPERS["remix_drw"])
    share_b = torch.tensor([0.3, 1.0, 0.0])
    step = take_step(
        configuration, ONE_B1C, partner_labels_b=PARTNER_LABELS_B, xi=share_b, epoch=160
    )
    weights_c = effective_number_weights(COUNTS, 0.9999).float()
    weighted = torch.nn.CrossEntropyLoss(weight=weights_c, reduction="none")
    own_b, partner_b = weighted(F_BC, LABELS_B), weighted(F_BC, PARTNER_LABELS_B)
    assert step.mean == approximately(float((share_b * own_b + (1 - share_b) * partner_b).mean()))
