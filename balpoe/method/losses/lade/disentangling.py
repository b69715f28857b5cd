"""The two terms of LADE.

B batch, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from balpoe.config.loss import Criterion, Targets


def disentangling_term(logits_bc: Tensor, labels_b: Tensor, prior_c: Tensor, rho: float) -> Tensor:
    """Return −Σ_c π_c·(m_c − L_c − ρ·L_c²), as one element.

    m_c is the mean logit f_c of the images of class c, 0 if the batch has none, and
    L_c = log mean_i exp(f_ic − log π_c − log C). The images of a class have the weight 1/π_c in the
    mixture of all classes where these are equally frequent.
    """
    images, classes = logits_bc.shape
    is_label_bc = labels_b[:, None] == torch.arange(classes, device=labels_b.device)
    images_c = is_label_bc.sum(dim=0).clamp_min(1)
    mean_c = (logits_bc * is_label_bc).sum(dim=0) / images_c
    reweighted_bc = logits_bc - prior_c.log() - math.log(classes)
    log_mean_c = reweighted_bc.logsumexp(dim=0) - math.log(images)
    return -(prior_c * (mean_c - log_mean_c - rho * log_mean_c.square())).sum()


class LadeCriterion(Criterion):
    """A cross-entropy, and `alpha` times the disentangling term."""

    def __init__(
        self, cross_entropy: Criterion, prior_c: Tensor, *, alpha: float, rho: float
    ) -> None:
        self._cross_entropy = cross_entropy
        self._prior_c = prior_c
        self._alpha = alpha
        self._rho = rho

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return the cross-entropy of each image, float32 [B]: the other term has no images."""
        return self._cross_entropy.per_image(expert, logits_bc, labels_b)

    def mean(self, expert: int, logits_bc: Tensor, targets: Targets) -> Tensor:
        """Return the mean cross-entropy, plus the term; mixed labels are refused."""
        assert targets.partner_labels_b is None
        assert targets.xi is None
        mean = self._cross_entropy.mean(expert, logits_bc, targets)
        term = disentangling_term(logits_bc, targets.labels_b, self._prior_c, self._rho)
        return mean + self._alpha * term
