"""Evaluation of choices that need no training: test prior, temperatures and subsets of experts.

N images, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from balpoe.config.shifts import PriorKnowledge
from balpoe.errors import DataError
from balpoe.evaluation.distributions import Distribution, distributions
from balpoe.evaluation.prior_estimation import HeldOut, PriorEstimator, thinning
from balpoe.evaluation.scoring import Metrics, evaluate_product
from balpoe.evaluation.temperature import Temperatures
from balpoe.method.losses.logit_adjustment.adjusted_losses import product_of_experts
from balpoe.method.priors import ExpertPriors, class_prior

Scaling = Literal["none", "ensemble", "experts"]

MOST_EXPERTS = 9  # 511 subsets, of which 31 are balanced if the λs are equidistant


@dataclass(frozen=True, slots=True)
class Scorer:
    """The product of some experts: without temperature, with one for all, or with one for each."""

    experts: tuple[int, ...]
    scaling: Scaling = "none"

    def logits(
        self, logits_nec: Tensor, temperatures: Temperatures | None, priors: ExpertPriors
    ) -> Tensor:
        """Return the logits of the product [N, C]; scaling needs `temperatures`.

        `priors` are those of all experts.
        """
        chosen = list(self.experts)
        chosen_nec = logits_nec[:, chosen]
        if self.scaling == "none":
            return product_of_experts(chosen_nec)
        assert temperatures is not None
        scales_e = torch.tensor([temperatures.experts[e] for e in chosen], dtype=torch.float64)
        if self.scaling == "ensemble":
            scales_e = torch.full_like(scales_e, temperatures.ensemble)
        scales_e1 = scales_e.unsqueeze(1)
        scaled_nec = chosen_nec / scales_e1.to(chosen_nec)
        if temperatures.scaled == "training_scorer":
            # (f + o)/T − o
            scaled_nec = scaled_nec + (priors.training_offsets_ec[chosen] * (1 / scales_e1 - 1)).to(
                scaled_nec
            )
        return product_of_experts(scaled_nec)


@dataclass(frozen=True, eq=False, slots=True)
class PostHocEvaluation:
    """One scorer on one test distribution, with a known, unknown or estimated prior.

    `metrics` is None where the distribution cannot be measured, or its prior not known or
    estimated.
    """

    scorer: Scorer
    prior: PriorKnowledge
    distribution: str
    images: int
    effective_images: float
    metrics: Metrics | None


def scorers(priors: ExpertPriors, *, scaled: bool) -> tuple[Scorer, ...]:
    """Return all experts without scaling, with scaling if `scaled`, then subsets of experts.

    The subsets are the proper ones whose product aims at the uniform prior; none are
    listed for more than `MOST_EXPERTS`.
    """
    all_experts = tuple(range(priors.count))
    subsets = balanced_subsets(priors) if priors.count <= MOST_EXPERTS else ()
    return (
        Scorer(all_experts),
        *((Scorer(all_experts, "ensemble"),) if scaled else ()),
        *((Scorer(all_experts, "experts"),) if scaled and priors.count > 1 else ()),
        *(Scorer(subset) for subset in subsets if subset != all_experts),
    )


def evaluate_post_hoc(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    priors: ExpertPriors,
    class_counts: Sequence[int],
    temperatures: Temperatures | None,
    held_out: tuple[Tensor, Tensor] | None = None,
) -> tuple[PostHocEvaluation, ...]:
    """Evaluate every choice on all test images [N] and on every shift.

    The prior is unknown, known, or estimated from the unlabelled images of the distribution and
    from `held_out`: the logits [N, E, C] of the same experts for images that they were not trained
    on, and their labels [N]. It is estimated for all experts without temperatures, and not without
    `held_out`.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    found = list(distributions(labels_n, class_counts))
    all_experts = Scorer(tuple(range(priors.count)))
    estimator = None if held_out is None else _estimator(held_out, priors, class_counts)
    rows = []
    for scorer in scorers(priors, scaled=temperatures is not None):
        product_nc = scorer.logits(logits_nec, temperatures, priors)
        trained_prior_c = priors.of_product(scorer.experts)
        for distribution in found:
            test_priors: dict[PriorKnowledge, Tensor | None] = {
                "unknown": None,
                "known": distribution.prior_c,
            }
            if scorer == all_experts:
                logits_bc = product_nc[distribution.indices_b]
                test_priors["estimated"] = _estimated(logits_bc, distribution, estimator)
            for prior, test_prior_c in test_priors.items():
                metrics = None
                if distribution.is_measurable and (prior == "unknown" or test_prior_c is not None):
                    metrics = _metrics(
                        product_nc,
                        labels_n,
                        distribution,
                        trained_prior_c=trained_prior_c,
                        class_counts=class_counts,
                        test_prior_c=test_prior_c,
                    )
                rows.append(
                    PostHocEvaluation(
                        scorer,
                        prior,
                        distribution.name,
                        len(distribution.indices_b),
                        distribution.effective_images,
                        metrics,
                    )
                )
    return tuple(rows)


def metrics_with_estimated_priors(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    priors: ExpertPriors,
    class_counts: Sequence[int],
    held_out: tuple[Tensor, Tensor],
) -> dict[str, Metrics]:
    """Return the metrics of all experts by test distribution, with its prior estimated.

    They are those of `evaluate_post_hoc`, whose arguments and errors these are. Distributions
    whose prior cannot be estimated are left out.
    """
    estimator = _estimator(held_out, priors, class_counts)
    product_nc = product_of_experts(logits_nec)
    found = {}
    for distribution in distributions(labels_n, class_counts):
        test_prior_c = _estimated(product_nc[distribution.indices_b], distribution, estimator)
        if distribution.is_measurable and test_prior_c is not None:
            found[distribution.name] = _metrics(
                product_nc,
                labels_n,
                distribution,
                trained_prior_c=priors.of_product(),
                class_counts=class_counts,
                test_prior_c=test_prior_c,
            )
    return found


def _metrics(
    product_nc: Tensor,
    labels_n: Tensor,
    distribution: Distribution,
    *,
    trained_prior_c: Tensor,
    class_counts: Sequence[int],
    test_prior_c: Tensor | None,
) -> Metrics:
    return evaluate_product(
        product_nc[distribution.indices_b],
        labels_n[distribution.indices_b],
        trained_prior_c=trained_prior_c,
        class_counts=class_counts,
        class_weights_c=distribution.class_weights_c,
        test_prior_c=test_prior_c,
        is_final=True,
    )


def _estimator(
    held_out: tuple[Tensor, Tensor], priors: ExpertPriors, class_counts: Sequence[int]
) -> PriorEstimator:
    logits_nec, labels_n = held_out
    return PriorEstimator(
        HeldOut(product_of_experts(logits_nec), labels_n),
        trained_prior_c=priors.of_product(),
        class_prior_c=class_prior(class_counts),
    )


def _estimated(
    logits_bc: Tensor, distribution: Distribution, estimator: PriorEstimator | None
) -> Tensor | None:
    if estimator is None or distribution.class_weights_c is not None:
        return None  # unlabelled images have no class weights
    return estimator.prior(logits_bc[:: thinning(*logits_bc.shape)])


def balanced_subsets(priors: ExpertPriors) -> tuple[tuple[int, ...], ...]:
    """Return the indices of every subset whose product aims at the uniform prior.

    They are those with λ̄ = 0 for logit adjustment (Corollary 1.1), the smallest first. The set of
    all experts may be among them; the result may be empty.

    Raises:
        DataError: there are too many experts to enumerate all subsets.
    """
    count = priors.count
    if count > MOST_EXPERTS:
        raise DataError(
            f"subsets of {count} experts: there are 2^{count}; at most {MOST_EXPERTS} experts are "
            "possible"
        )
    return tuple(
        subset
        for size in range(1, count + 1)
        for subset in combinations(range(count), size)
        if priors.is_uniform(subset)
    )
