"""The distance of predictions from the Bayes rule, for data with known P(x|y).

B batch, C classes. All arithmetic is float64 on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from balpoe.evaluation.input_checks import refuse_non_finite_logits


@dataclass(frozen=True, slots=True)
class BayesDistance:
    """The gap to the best possible predictions on the same images.

    `balanced_accuracy_gap` is the balanced accuracy of the Bayes rule minus that of the scorer (a
    fraction), `posterior_kl` the mean over classes of KL(true posterior ‖ predicted) in nats.
    """

    balanced_accuracy_gap: float
    posterior_kl: float

    def scalars(self, split: str) -> dict[str, float]:
        """Both numbers as `<split>/<metric>`."""
        return {
            f"{split}/bayes_balanced_accuracy_gap": self.balanced_accuracy_gap,
            f"{split}/bayes_posterior_kl": self.posterior_kl,
        }


def distance_to_bayes(
    logits_bc: Tensor, labels_b: Tensor, log_likelihood_bc: Tensor, target_prior_c: Tensor
) -> BayesDistance:
    """Compare logits [B, C] with the posterior ∝ P(x|y)·P_e(y), the exact target of the scorer.

    The Bayes rule of the balanced error is argmax P(x|y); all classes have the same weight
    (BalPoE eq. 3).
    """
    refuse_non_finite_logits(logits_bc.unsqueeze(1))
    log_true_bc = (log_likelihood_bc + target_prior_c.log()).log_softmax(dim=-1)
    log_predicted_bc = logits_bc.to("cpu", torch.float64).log_softmax(dim=-1)
    true_bc = log_true_bc.exp()
    # 0·log 0 is 0; kl_div would give it too, but NaN where the predicted one is −inf as well
    terms_bc = torch.where(true_bc > 0, true_bc * (log_true_bc - log_predicted_bc), 0.0)
    bayes_b = log_likelihood_bc.argmax(dim=-1) == labels_b
    scored_b = logits_bc.argmax(dim=-1).cpu() == labels_b
    gap_b = bayes_b.double() - scored_b.double()
    classes = logits_bc.shape[-1]
    return BayesDistance(
        _mean_over_classes(gap_b, labels_b, classes),
        _mean_over_classes(terms_bc.sum(dim=-1), labels_b, classes),
    )


def _mean_over_classes(values_b: Tensor, labels_b: Tensor, classes: int) -> float:
    sums_c = torch.zeros(classes, dtype=torch.float64).index_add_(0, labels_b, values_b)
    images_c = torch.bincount(labels_b, minlength=classes)
    present = images_c > 0
    return float((sums_c[present] / images_c[present]).mean())
