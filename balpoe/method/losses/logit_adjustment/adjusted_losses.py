"""The generalised logit-adjusted losses of all experts, and the product of experts.

B batch, E experts, C classes. With π the training prior and τ = 1 − λ, expert e is trained
with the cross-entropy of f + τ_e·log π (paper, eq. 8): λ = 1 is plain cross-entropy, λ = 0
balanced softmax. Nothing is added at test time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from balpoe.config.loss import Criterion, Targets


def logit_adjustments(prior_c: Tensor, lambdas: Sequence[float] | Tensor) -> Tensor:
    """Return τ_e·log π, float64 [E, C].

    `lambdas` holds one λ per expert [E] or per expert and class [E, C]. `prior_c` must be above 0
    everywhere, as returned by `balpoe.method.priors.class_prior`.
    """
    lambdas_ex = torch.as_tensor(lambdas, dtype=torch.float64)
    if lambdas_ex.ndim == 1:
        lambdas_ex = lambdas_ex.unsqueeze(1)
    return (1 - lambdas_ex) * prior_c.to(torch.float64).log()


def expert_losses(
    logits_bec: Tensor,
    adjustments_ec: Tensor,
    labels_b: Tensor,
    *,
    partner_labels_b: Tensor | None = None,
    xi: Tensor | None = None,
) -> Tensor:
    """Return the mean loss of each expert over the batch, [E] in the dtype of the logits.

    With mixup, `xi` (a scalar in 0..1) is the share of the images with `labels_b`, and the
    loss is ξ·ℓ(y) + (1 − ξ)·ℓ(y_partner) (paper, section 3.4). `adjustments_ec` has the dtype and
    device of the logits. No value is read on the host and no shape depends on a value, so a CUDA
    graph can capture the function.
    """
    assert (partner_labels_b is None) == (xi is None)
    log_probabilities_bec = (logits_bec + adjustments_ec).log_softmax(dim=-1)
    losses_e = _mean_losses(log_probabilities_bec, labels_b)
    if partner_labels_b is None or xi is None:
        return losses_e
    return _mean_losses(log_probabilities_bec, partner_labels_b).lerp(losses_e, xi)


class AdjustedCrossEntropy(Criterion):
    """The cross-entropy of logits to which the float32 `adjustments_ec` are added."""

    def __init__(self, adjustments_ec: Tensor) -> None:
        self._adjustments_ec = adjustments_ec

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the loss of each image: float32 [B]."""
        return functional.cross_entropy(
            logits_bc + self._adjustments_ec[expert], labels_b, reduction="none"
        )

    def mean(self, expert: int, logits_bc: Tensor, targets: Targets) -> Tensor:
        """Return the mean loss, with one softmax for both labels where the batch has one ξ."""
        xi = targets.xi
        if targets.class_weights is not None or (xi is not None and xi.ndim):
            return super().mean(expert, logits_bc, targets)
        return expert_losses(
            logits_bc.unsqueeze(1),
            self._adjustments_ec[expert : expert + 1],
            targets.labels_b,
            partner_labels_b=targets.partner_labels_b,
            xi=xi,
        )


def product_of_experts(logits_bec: Tensor) -> Tensor:
    """Return the logits [B, C] of the product of experts: the mean of theirs (paper, eq. 10)."""
    return logits_bec.mean(dim=1)


def _mean_losses(log_probabilities_bec: Tensor, labels_b: Tensor) -> Tensor:
    experts = log_probabilities_bec.shape[1]
    labels_be1 = labels_b[:, None, None].expand(-1, experts, 1)
    return -log_probabilities_bec.gather(2, labels_be1).mean(dim=(0, 2))
