"""The priors that experts aim at, against the minimiser of each loss over all score functions.

X points x, B images, E experts, C classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    MixupConfig,
    ReweightingConfig,
    TrainingConfig,
    to_plain,
)
from balpoe.config.augmentation import POLICIES
from balpoe.config.loss import LOSSES, ClassWeights, Targets
from balpoe.config.second_stage import SECOND_STAGES
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import UserError
from balpoe.method.class_weights import class_probabilities
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import adjust_to_prior, class_prior
from balpoe.training.loss_context import (
    expert_priors,
    loss_context,
    scalar_lambdas,
    stored_settings,
)
from balpoe.training.schedule import progress

COUNTS = (60, 24, 6)
LIKELIHOOD_XC = torch.tensor(
    [[0.5, 0.2, 0.1], [0.3, 0.5, 0.2], [0.1, 0.2, 0.3], [0.1, 0.1, 0.4]], dtype=torch.float64
)
TEST_PRIOR_C = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)

WITHOUT_PRIOR = {"ldam", "ride"}
"""Losses with margins: their minimiser is no posterior for any prior."""

EXACT: dict[str, dict[str, float]] = {
    "focal": {"gamma": 0.0},
    "class_balanced_focal": {"gamma": 0.0},
    "label_aware_smoothing": {"head": 0.0, "tail": 0.0},
    "lade": {"alpha": 0.0},
}
"""Settings with which a loss aims at a prior exactly, where its defaults do so approximately."""

STAGES: dict[str, dict[str, Any]] = {"second stage": {"second_stage": SECOND_STAGES["crt"]()}}

PRIORS: dict[str, dict[str, Any]] = {
    "plain": {},
    "balanced draws": {"training": TrainingConfig(epochs=10, class_sampling="class_balanced")},
    "square roots": {"training": TrainingConfig(epochs=10, class_sampling="square_root")},
    "progressive": {"training": TrainingConfig(epochs=4, class_sampling="progressive")},
    "weights": {"reweighting": ReweightingConfig(beta=0.99, start=0.5)},
    "lambdas": {"experts": ExpertsConfig(count=3, lambdas=(1.0, 0.5, -2.0))},
    "class lambdas": {
        "experts": ExpertsConfig(
            count=3, class_lambdas=((1.0, 0.0, 2.0), (-1.0, 0.5, 1.0), (0.0, 0.0, 0.0))
        )
    },
}


def configured(loss: str, settings: dict[str, Any]) -> Configuration:
    chosen = LOSSES[loss](**EXACT.get(loss, {}))
    return Configuration(data=DigitsLT(), loss=chosen, mixup=MixupConfig(), **settings)


def minimiser(configuration: Configuration, expert: int) -> Tensor:
    """Return the scores [X, C] of least expected loss in the last epoch, found by L-BFGS."""
    context = loss_context(configuration, COUNTS, torch.device("cpu"))
    criterion = configuration.loss.criterion(context)
    training = configuration.training
    in_last_epoch = progress(training.epochs - 1, training)
    drawn_c = class_probabilities(training.class_sampling, COUNTS, in_last_epoch)
    # a batch of many images has each point and class as often as it is drawn
    images_xc = (LIKELIHOOD_XC * drawn_c * 18000).round().long()
    points_b, labels_b = (
        index.flatten().repeat_interleave(images_xc.flatten())
        for index in torch.meshgrid(torch.arange(4), torch.arange(3), indexing="ij")
    )
    weights = None
    if context.reweighted_from is not None:
        weights = ClassWeights(context.final_weights_c, context.reweighted_from, "batch")
        weights.start_epoch(training.epochs - 1)
    criterion.start_epoch(training.epochs - 1)
    scores_xc = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [scores_xc], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = criterion.mean(expert, scores_xc[points_b], Targets(labels_b, class_weights=weights))
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return scores_xc.detach()


def posterior(prior_c: Tensor) -> Tensor:
    return (LIKELIHOOD_XC * prior_c) / (LIKELIHOOD_XC * prior_c).sum(dim=1, keepdim=True)


def cases() -> list[tuple[str, str]]:
    names = [name for name in LOSSES.entries if name not in WITHOUT_PRIOR]
    return [
        (loss, prior)
        for loss in names
        for prior in PRIORS
        if not (loss.startswith("class_balanced") and prior == "weights")  # refused
    ]


@pytest.mark.parametrize(("loss", "prior"), cases())
def test_the_minimiser_of_a_loss_is_adjusted_to_the_posterior_of_a_known_prior(
    loss: str, prior: str
) -> None:
    configuration = configured(loss, PRIORS[prior])
    priors = expert_priors(configuration, COUNTS)
    scores_xec = torch.stack([minimiser(configuration, expert) for expert in range(3)], dim=1)
    expected_xc = posterior(TEST_PRIOR_C)
    scorers = [*scores_xec.unbind(dim=1), product_of_experts(scores_xec)]
    for scores_xc, trained_c in zip(scorers, priors.of_scorers_mc, strict=True):
        adjusted_xc = adjust_to_prior(
            scores_xc, trained_prior_c=trained_c, test_prior_c=TEST_PRIOR_C
        )
        assert_close(adjusted_xc.softmax(dim=1), expected_xc, rtol=1e-3, atol=1e-5)
    as_trained_xec = scores_xec + priors.training_offsets_ec
    drawn_c = priors.log_drawn_c.softmax(dim=0)
    for scores_xc in as_trained_xec.unbind(dim=1):
        assert_close(scores_xc.softmax(dim=1), posterior(drawn_c), rtol=1e-3, atol=1e-5)


def test_lambda_gives_the_prior_of_the_paper() -> None:
    configuration = configured("logit_adjustment", PRIORS["lambdas"])
    priors = expert_priors(configuration, COUNTS)
    prior_c = class_prior(COUNTS)
    for expert, lam in enumerate((1.0, 0.5, -2.0)):
        assert_close(priors.each_ec[expert], prior_c**lam / (prior_c**lam).sum())
        assert_close(priors.training_offsets_ec[expert], (1 - lam) * prior_c.log())


@pytest.mark.parametrize("loss", sorted(LOSSES.entries))
@pytest.mark.parametrize("prior", ["plain", "balanced draws", "class lambdas", "second stage"])
def test_priors_are_recomputed_from_the_stored_configuration(loss: str, prior: str) -> None:
    configuration = configured(loss, (PRIORS | STAGES)[prior])
    stored = to_plain(configuration)
    settings = stored_settings(stored)
    assert settings.loss == configuration.loss
    assert settings.experts == configuration.experts
    assert settings.second_stage == configuration.second_stage
    again = expert_priors(settings, COUNTS)
    assert torch.equal(again.log_priors_ec, expert_priors(configuration, COUNTS).log_priors_ec)


def test_after_a_second_stage_experts_aim_at_equal_frequencies() -> None:
    configuration = configured("logit_adjustment", PRIORS["lambdas"] | STAGES["second stage"])
    priors = expert_priors(configuration, COUNTS)
    assert priors.is_uniform((0,))
    assert_close(priors.of_product((0, 1)), torch.full((3,), 1 / 3, dtype=torch.float64))
    # its epochs are class-balanced cross-entropy: nothing is added to the logits
    assert not priors.training_offsets_ec.any()
    assert scalar_lambdas(configuration) is None


def test_a_stored_loss_that_is_not_installed_is_named() -> None:
    stored = to_plain(configured("focal", {})) | {"loss": {"name": "someones_loss"}}
    with pytest.raises(
        UserError, match=r"loss\.name: nothing is called someones_loss: install the package"
    ):
        stored_settings(stored)


def test_policies_of_augmentation_need_no_package_for_the_priors() -> None:
    cutout = AugmentationConfig(policies=(POLICIES["cutout"](),))
    configuration = configured("focal", {"training": TrainingConfig(augmentation=cutout)})
    stored = to_plain(configuration)
    stored["training"]["augmentation"]["policies"] += [{"name": "someones_policy"}]
    assert stored_settings(stored).loss == configuration.loss


def test_experts_have_one_lambda_each_only_where_the_loss_takes_it() -> None:
    configuration = configured("logit_adjustment", PRIORS["lambdas"])
    assert scalar_lambdas(configuration) == (1.0, 0.5, -2.0)
    assert scalar_lambdas(replace(configuration, loss=LOSSES["focal"]())) is None
    assert scalar_lambdas(configured("logit_adjustment", PRIORS["class lambdas"])) is None
