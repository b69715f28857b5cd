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
    mixture = LogMixture()
    mixture.add(log_probabilities_mbc, mixtures_msc[..., labels_b])
    log_marginals_msc = mixture.value()
    balanced_m, matched_m = divergence(targets_mc.unsqueeze(1), log_marginals_msc).unbind(dim=1)
    return balanced_m, matched_m


class LogMixture:
    """log Σ_b w_b·p_b for images that come in blocks, S weightings; M scorers, or none.

    It is finite even where all p_b underflow.
    """

    def __init__(self) -> None:
        self._peak_m1c: Tensor | None = None
        self._sum_msc: Tensor

    def add(self, log_probabilities_mbc: Tensor, weights_msb: Tensor) -> None:
        """Add the images of a block: log-probabilities [M, B, C] with weights [M, S, B]."""
        smallest = torch.finfo(torch.float64).min
        peak_m1c = log_probabilities_mbc.amax(dim=-2, keepdim=True).clamp(min=smallest)
        before_m1c = self._peak_m1c
        if before_m1c is not None:
            peak_m1c = torch.maximum(before_m1c, peak_m1c)
        added_msc = weights_msb @ (log_probabilities_mbc - peak_m1c).exp_()
        if before_m1c is not None:
            added_msc += self._sum_msc * (before_m1c - peak_m1c).exp()
        self._peak_m1c, self._sum_msc = peak_m1c, added_msc

    def value(self) -> Tensor:
        """Return the log of the sums, float64 [M, S, C]; there must be a block."""
        assert self._peak_m1c is not None
        return self._sum_msc.log() + self._peak_m1c


def divergence(target: Tensor, log_estimate: Tensor) -> Tensor:
    """Return KL(target ‖ estimate) in nats over the last dimension.

    A class with target 0 adds nothing.
    """
    terms = target * (target.log() - log_estimate)
    sums = torch.where(target > 0, terms, 0.0).sum(dim=-1)
    return sums.clamp(min=0.0)  # rounding can leave -1e-17 where the two are equal
