"""Choices on validation against temperatures and scores that are computed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from balpoe.evaluation.post_hoc import Scorer, scorers
from balpoe.evaluation.temperature import Temperatures, fit_temperatures
from balpoe.evaluation.validated_choices import (
    FOLDS,
    metrics_on_test,
    metrics_on_validation,
    validated_choices,
)
from balpoe.method.priors import class_prior
from tests.scalar_priors import scalar_priors

COUNTS = (200, 60, 10)
PRIOR_C = class_prior(COUNTS)
LAMBDAS = (1.0, 0.0, -1.0)
ALL = (0, 1, 2)


def drawn(images_c: tuple[int, ...], scale: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits of three experts whose log P(x|y) is `scale` times too large, and labels."""
    labels_n = torch.arange(3).repeat_interleave(torch.tensor(images_c))
    generator = torch.Generator().manual_seed(seed)
    truth_n1c = torch.nn.functional.one_hot(labels_n, 3).float().unsqueeze(1)
    noise_n1c = torch.randn(len(labels_n), 1, 3, generator=generator)
    likelihood_n1c = 3 * (truth_n1c + noise_n1c / 3**0.5)
    prior_ec = torch.tensor(LAMBDAS)[:, None] * PRIOR_C.log().float()
    return scale * likelihood_n1c + prior_ec, labels_n


def on_validation(logits_nec: Tensor, labels_n: Tensor) -> dict[Scorer, float]:
    metrics = metrics_on_validation(
        logits_nec, labels_n, priors=scalar_priors(PRIOR_C, LAMBDAS), class_counts=COUNTS
    )
    return {scorer: scored.values["balanced_nll"] for scorer, scored in metrics.items()}


def balanced_nll(product_nc: Tensor, labels_n: Tensor) -> float:
    losses_n = torch.nn.functional.cross_entropy(product_nc.double(), labels_n, reduction="none")
    return float(torch.stack([losses_n[labels_n == c].mean() for c in range(3)]).mean())


def test_temperatures_are_measured_on_images_they_were_not_fitted_on() -> None:
    logits_nec, labels_n = drawn((20, 7, 3), scale=4.0)
    first_of_class = {0: 0, 1: 20, 2: 27}
    fold_n = torch.tensor(
        [(n - first_of_class[c] + c) % FOLDS for n, c in enumerate(labels_n.tolist())]
    )
    product_nc = torch.empty(30, 3)
    for fold in range(FOLDS):
        own_n = fold_n == fold
        fitted = fit_temperatures(
            logits_nec[~own_n], labels_n[~own_n], priors=scalar_priors(PRIOR_C, LAMBDAS)
        )
        offset_c = scalar_priors(PRIOR_C, LAMBDAS).training_offsets_ec.mean(dim=0)
        scorer_nc = logits_nec[own_n].mean(dim=1) + offset_c
        product_nc[own_n] = (scorer_nc / fitted.ensemble - offset_c).float()
    found = on_validation(logits_nec, labels_n)
    assert found[Scorer(ALL, "ensemble")] == pytest.approx(balanced_nll(product_nc, labels_n))
    assert found[Scorer(ALL)] == pytest.approx(balanced_nll(logits_nec.mean(dim=1), labels_n))
    subset = logits_nec[:, [0, 2]].mean(dim=1)
    assert found[Scorer((0, 2))] == pytest.approx(balanced_nll(subset, labels_n))


def test_the_order_of_images_changes_folds_but_their_weights_are_those_of_classes() -> None:
    """Three images of the last class count as much as 20 of the first one."""
    logits_nec, labels_n = drawn((20, 7, 3), scale=1.0)
    repeated = torch.cat([torch.arange(20).repeat(4), torch.arange(20, 30)])
    unscaled = on_validation(logits_nec, labels_n)[Scorer(ALL)]
    assert on_validation(logits_nec[repeated], labels_n[repeated])[Scorer(ALL)] == pytest.approx(
        unscaled
    )


@pytest.mark.parametrize(("scale", "scaled"), [(1.0, False), (4.0, True)])
def test_validation_chooses_a_temperature_where_logits_are_too_large(
    scale: float, scaled: bool
) -> None:
    """The test figures, here of shuffled labels, have no part in it."""
    logits_nec, labels_n = drawn((2000, 2000, 2000), scale)
    validation = metrics_on_validation(
        logits_nec, labels_n, priors=scalar_priors(PRIOR_C, LAMBDAS), class_counts=COUNTS
    )
    test = metrics_on_test(
        logits_nec,
        labels_n.flip(0),
        priors=scalar_priors(PRIOR_C, LAMBDAS),
        class_counts=COUNTS,
        temperatures=Temperatures(4.0, (4.0, 4.0, 4.0)),
    )
    choices = validated_choices(validation, test, "300 images")
    assert choices.best is not None
    least = min(validation, key=lambda scorer: validation[scorer].values["balanced_nll"])
    assert choices.best == least
    if scaled:
        assert choices.best.scaling != "none"
    unscaled = next(c for c in choices.choices if c.scorer == Scorer(ALL))
    assert unscaled.validation is not None
    best = next(c for c in choices.choices if c.is_chosen)
    assert best.validation is not None
    gained = unscaled.validation.values["balanced_nll"] - best.validation.values["balanced_nll"]
    assert (gained > 0.1) == scaled


def test_without_validation_nothing_is_chosen() -> None:
    logits_nec, labels_n = drawn((5, 5, 5), 1.0)
    test = metrics_on_test(
        logits_nec,
        labels_n,
        priors=scalar_priors(PRIOR_C, LAMBDAS),
        class_counts=COUNTS,
        temperatures=None,
    )
    choices = validated_choices(None, test, "trained outside of a study")
    assert choices.best is None
    assert [choice.validation for choice in choices.choices] == [None] * 3


def test_a_single_image_can_be_scored() -> None:
    logits_nec, labels_n = drawn((1, 0, 0), 1.0)
    assert set(on_validation(logits_nec, labels_n)) >= {Scorer(ALL), Scorer(ALL, "experts")}


def test_a_single_expert_has_one_temperature() -> None:
    assert scorers(scalar_priors(PRIOR_C, (1.0,)), scaled=True) == (
        Scorer((0,)),
        Scorer((0,), "ensemble"),
    )
