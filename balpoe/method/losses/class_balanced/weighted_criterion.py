"""A loss whose classes have constant weights.

B batch, C classes.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from balpoe.config.loss import ClassWeights, Criterion, Targets, WeightNormalisation


class WeightedCriterion(Criterion):
    """The weighted mean of another loss, with the float32 `weights_c` from the first epoch on."""

    def __init__(
        self, unweighted: Criterion, weights_c: Tensor, normalisation: WeightNormalisation
    ) -> None:
        self._unweighted = unweighted
        self._weights_c = weights_c
        self._class_weights = ClassWeights(weights_c, 0, normalisation)
        self._class_weights.start_epoch(0)

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        """Return w_y·ℓ of each image: float32 [B]."""
        losses_b = self._unweighted.per_image(expert, logits_bc, labels_b)
        return self._weights_c.index_select(0, labels_b) * losses_b

    def mean(self, expert: int, logits_bc: Tensor, targets: Targets) -> Tensor:
        """Return the weighted mean over the batch; further class weights are refused."""
        assert targets.class_weights is None
        weighted = replace(targets, class_weights=self._class_weights)
        return self._unweighted.mean(expert, logits_bc, weighted)
