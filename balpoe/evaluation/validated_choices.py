"""Choices after the training on validation: temperatures and subsets of experts.

They are chosen by `CHOICE_METRIC`, the negative log-likelihood over classes of equal weight, which
is a proper score. Logits are adjusted to equal class frequencies first, as when temperatures are
fitted, so that products of any prior can be compared.

N images, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from balpoe.evaluation.post_hoc import Scorer, scorers
from balpoe.evaluation.scoring import Metrics, evaluate_product
from balpoe.evaluation.temperature import Temperatures, fit_temperatures
from balpoe.method.priors import ExpertPriors

CHOICE_METRIC = "balanced_nll"
FOLDS = 5


@dataclass(frozen=True, eq=False, slots=True)
class ValidatedChoice:
    """A scorer with its figures on validation, and on the test set as their consequence.

    Only metrics `balanced_*` of both are comparable. `validation` is None for a model without
    validation predictions.
    """

    scorer: Scorer
    validation: Metrics | None
    test: Metrics
    is_chosen: bool


@dataclass(frozen=True, eq=False, slots=True)
class ValidatedChoices:
    """All choices of a model.

    `origin` is the search trial of the validation predictions, or the reason why there are none.
    """

    choices: tuple[ValidatedChoice, ...]
    origin: str

    @property
    def best(self) -> Scorer | None:
        """The choice of validation, None without validation predictions."""
        return next((choice.scorer for choice in self.choices if choice.is_chosen), None)


def validated_choices(
    validation: Mapping[Scorer, Metrics] | None, test: Mapping[Scorer, Metrics], origin: str
) -> ValidatedChoices:
    """Return each scorer of `test`; the one with the least `CHOICE_METRIC` is chosen."""
    chosen = None
    if validation is not None:
        chosen = min(test, key=lambda scorer: validation[scorer].values[CHOICE_METRIC])
    choices = (
        ValidatedChoice(
            scorer,
            None if validation is None else validation[scorer],
            metrics,
            scorer == chosen,
        )
        for scorer, metrics in test.items()
    )
    return ValidatedChoices(tuple(choices), origin)


def metrics_on_validation(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    priors: ExpertPriors,
    class_counts: Sequence[int],
) -> dict[Scorer, Metrics]:
    """Score every scorer on the validation predictions [N, E, C] of a search trial.

    The temperatures of a model are fitted on all these images. Here they are fitted without the
    images that they are applied to, in `FOLDS` folds with images of every class.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    fitted = []
    folds_n = _folds(labels_n)
    for fold in range(FOLDS):
        rest_n = folds_n != fold
        temperatures = Temperatures(1.0, (1.0,) * priors.count)
        if rest_n.any():
            temperatures = fit_temperatures(logits_nec[rest_n], labels_n[rest_n], priors=priors)
        fitted.append((~rest_n, temperatures))
    found = {}
    for scorer in scorers(priors, scaled=True):
        product_nc = torch.empty_like(logits_nec[:, 0])
        for held_out_n, temperatures in fitted:
            product_nc[held_out_n] = scorer.logits(logits_nec[held_out_n], temperatures, priors)
        found[scorer] = _balanced_metrics(
            scorer,
            product_nc,
            labels_n,
            priors=priors,
            class_counts=class_counts,
        )
    return found


def metrics_on_test(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    priors: ExpertPriors,
    class_counts: Sequence[int],
    temperatures: Temperatures | None,
) -> dict[Scorer, Metrics]:
    """Score every scorer on the test images [N, E, C]; scaled ones only with `temperatures`.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    return {
        scorer: _balanced_metrics(
            scorer,
            scorer.logits(logits_nec, temperatures, priors),
            labels_n,
            priors=priors,
            class_counts=class_counts,
        )
        for scorer in scorers(priors, scaled=temperatures is not None)
    }


def _balanced_metrics(
    scorer: Scorer,
    product_nc: Tensor,
    labels_n: Tensor,
    *,
    priors: ExpertPriors,
    class_counts: Sequence[int],
) -> Metrics:
    classes = len(class_counts)
    return evaluate_product(
        product_nc,
        labels_n,
        trained_prior_c=priors.of_product(scorer.experts),
        class_counts=class_counts,
        test_prior_c=torch.full((classes,), 1 / classes, dtype=torch.float64),
        is_final=True,
    )


def _folds(labels_n: Tensor) -> Tensor:
    """Return the fold of each image: those of a class take turns, beginning at different folds."""
    counts_c = torch.bincount(labels_n)
    starts_c = counts_c.cumsum(dim=0) - counts_c
    order_n = labels_n.argsort(stable=True)
    place_n = torch.empty_like(labels_n)
    place_n[order_n] = torch.arange(len(labels_n)) - starts_c[labels_n[order_n]]
    return (place_n + labels_n) % FOLDS
