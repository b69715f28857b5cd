"""What can still be chosen when the logits are there: prior, temperatures, experts.

N images, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from balpoe.evaluation.distributions import distribution_indices
from balpoe.evaluation.expert_subsets import MOST_EXPERTS, balanced_subsets
from balpoe.evaluation.prior_estimation import estimate_prior, likelihood_ratios
from balpoe.evaluation.scoring import Metrics, evaluate
from balpoe.evaluation.temperature import Temperatures
from balpoe.method.logit_adjusted_losses import product_of_experts
from balpoe.method.priors import mean_lambda, target_prior

Scaling = Literal["none", "ensemble", "experts"]
PriorKnowledge = Literal["unknown", "known", "estimated"]

_LEAST_SHARE = 1e-12  # of a class by an estimate, which may rule out one that is there


@dataclass(frozen=True, slots=True)
class Scorer:
    """Some of the experts, multiplied: with no temperature, one for them all, or one for each."""

    experts: tuple[int, ...]
    scaling: Scaling = "none"

    def logits(self, logits_nec: Tensor, temperatures: Temperatures | None) -> Tensor:
        """The product's logits [N, C]; `temperatures` are given where it scales by them."""
        chosen_nec = logits_nec[:, list(self.experts)]
        if self.scaling == "none":
            return product_of_experts(chosen_nec)
        assert temperatures is not None
        if self.scaling == "ensemble":
            return product_of_experts(chosen_nec) / temperatures.ensemble
        scales_e = torch.tensor([temperatures.experts[e] for e in self.experts])
        return product_of_experts(chosen_nec / scales_e.to(chosen_nec).unsqueeze(1))


@dataclass(frozen=True, eq=False, slots=True)
class PostHocEvaluation:
    """One scorer on one test distribution, with what is known of its class frequencies."""

    scorer: Scorer
    prior: PriorKnowledge
    distribution: str
    images: int
    metrics: Metrics


def scorers(lambdas: Sequence[float], *, scaled: bool) -> tuple[Scorer, ...]:
    """All experts, without and (where there are temperatures) with scaling; then the subsets.

    The subsets are those with λ̄ = 0 and fewer than all experts; there are none for more than
    `MOST_EXPERTS`.
    """
    everyone = tuple(range(len(lambdas)))
    subsets = balanced_subsets(lambdas) if len(lambdas) <= MOST_EXPERTS else ()
    return (
        Scorer(everyone),
        *((Scorer(everyone, "ensemble"), Scorer(everyone, "experts")) if scaled else ()),
        *(Scorer(subset) for subset in subsets if subset != everyone),
    )


def evaluate_post_hoc(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    prior_c: Tensor,
    lambdas: Sequence[float],
    class_counts: Sequence[int],
    temperatures: Temperatures | None,
) -> tuple[PostHocEvaluation, ...]:
    """Score every choice on the test images [N] as they are and under every shift.

    The prior is unknown, known, or estimated from the unlabelled images of the distribution.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    distributions = list(distribution_indices(labels_n, class_counts))
    rows = []
    for scorer in scorers(lambdas, scaled=temperatures is not None):
        product_nc = scorer.logits(logits_nec, temperatures)
        lam = mean_lambda([lambdas[e] for e in scorer.experts])
        trained_c = target_prior(prior_c, lam)
        for name, indices_b in distributions:
            logits_bc, labels_b = product_nc[indices_b], labels_n[indices_b]
            for prior, test_prior_c in _priors(logits_bc, labels_b, trained_c):
                evaluation = evaluate(
                    logits_bc.unsqueeze(1),
                    labels_b,
                    prior_c=prior_c,
                    lambdas=(lam,),
                    class_counts=class_counts,
                    test_prior_c=test_prior_c,
                )
                rows.append(
                    PostHocEvaluation(scorer, prior, name, len(labels_b), evaluation.ensemble)
                )
    return tuple(rows)


def _priors(
    logits_bc: Tensor, labels_b: Tensor, trained_prior_c: Tensor
) -> Iterator[tuple[PriorKnowledge, Tensor | None]]:
    yield "unknown", None
    yield "known", torch.bincount(labels_b, minlength=len(trained_prior_c)) / len(labels_b)
    ratios_bc = likelihood_ratios(logits_bc, trained_prior_c=trained_prior_c)
    estimated_c = estimate_prior(ratios_bc).prior_c.clamp(min=_LEAST_SHARE)
    yield "estimated", estimated_c / estimated_c.sum()
