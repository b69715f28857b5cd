"""The Kullback-Leibler divergence from a scorer's target prior to the marginal it predicts.

M scorers, B batch, C classes. With m_y the mean of softmax f(x) over the images of
class y, the marginal is estimated twice: in equal parts, mean_y m_y, as the papers do; and in
the target's own parts, Σ_y P(y)·m_y, which is P itself for a scorer calibrated for P.
Classes without images take no part in either mixture (the others keep their proportions) but
stay in the target: probability that a scorer withholds from them raises the divergence.
"""

from __future__ import annotations

import torch
from torch import Tensor


def divergences_to_target(
    log_probabilities_mbc: Tensor, labels_b: Tensor, images_c: Tensor, targets_mc: Tensor
) -> tuple[Tensor, Tensor]:
    """Return KL(target ‖ estimated marginal) in nats for both estimates, float64 [M] each.

    `log_probabilities_mbc` [M, B, C] are the predictions of each scorer, `targets_mc` [M, C] its
    target prior, both float64. `images_c` [C] are the images of each class. Image weights play no
    part: both mixtures are of classes.
    """
    present_c = (images_c > 0).to(torch.float64)
    mixtures_msc = torch.stack([present_c.expand_as(targets_mc), targets_mc * present_c], dim=1)
    mixtures_msc = mixtures_msc / mixtures_msc.sum(dim=2, keepdim=True) / images_c.clamp(min=1)
    log_marginals_msc = _log_mixtures(log_probabilities_mbc, mixtures_msc[..., labels_b])
    balanced_m, matched_m = _divergence(targets_mc.unsqueeze(1), log_marginals_msc).unbind(dim=1)
    return balanced_m, matched_m


def balanced_marginals(log_probabilities_mbc: Tensor, labels_b: Tensor, images_c: Tensor) -> Tensor:
    """Return the mean probability of each class over class-balanced inputs, float64 [M, C].

    The arguments are those of `divergences_to_target`, whose first divergence it gives.
    """
    present_c = (images_c > 0).to(torch.float64)
    mixture_c = present_c / present_c.sum() / images_c.clamp(min=1)
    weights_m1b = mixture_c[labels_b].expand(len(log_probabilities_mbc), 1, -1)
    return _log_mixtures(log_probabilities_mbc, weights_m1b).exp().squeeze(1)


def _log_mixtures(log_probabilities_mbc: Tensor, weights_msb: Tensor) -> Tensor:
    """The log of Σ_b w_b·p_b as [M, S, C], S weightings; finite even where all p_b underflow."""
    smallest = torch.finfo(torch.float64).min
    peak_m1c = log_probabilities_mbc.amax(dim=1, keepdim=True).clamp(min=smallest)
    scaled_mbc = (log_probabilities_mbc - peak_m1c).exp_()
    return (weights_msb @ scaled_mbc).log_() + peak_m1c


def _divergence(target: Tensor, log_estimate: Tensor) -> Tensor:
    """KL(target ‖ estimate) over the last dimension; a class with target 0 adds nothing."""
    terms = target * (target.log() - log_estimate)
    divergence = torch.where(target > 0, terms, 0.0).sum(dim=-1)
    return divergence.clamp(min=0.0)  # rounding can leave -1e-17 where the two are equal
