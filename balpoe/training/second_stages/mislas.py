"""The second stage of MiSLAS (Zhong et al., CVPR 2021, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from balpoe.config.bounds import Count, Fraction, NonNegative, Positive
from balpoe.config.loss import LOSSES, Loss
from balpoe.config.second_stage import SECOND_STAGES, Classifier, TrainedWeights
from balpoe.training.second_stages.lws import ScalingStage


@SECOND_STAGES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAwareRetraining(ScalingStage):
    """Classifiers and a scale of each class learn on frozen features, with smoothed labels.

    The loss is `label_aware_smoothing` with `head` and `tail`. The learning rate of the classifiers
    is `classifier_rate` times that of the scales. In the released code these are 0.2 to 0.5 for
    CIFAR-10 (`shift_batch_norm: false`), 0.1 to 0.2 for CIFAR-100 and 0.05 for larger sets (true).
    """

    name: Literal["mislas"] = "mislas"
    epochs: Count = 10
    learning_rate: Positive = 0.1
    weight_decay: NonNegative = 2e-4
    classifier_rate: NonNegative = 0.2
    head: Fraction = 0.4
    tail: Fraction = 0.1

    def trained_weights(self, classifiers: Sequence[Classifier]) -> Sequence[TrainedWeights]:
        """Return the classifiers, and the scales."""
        own = [(each.weight, each.bias) for each in classifiers]
        return [
            TrainedWeights(
                [one for each in own for one in each if one is not None], self.classifier_rate
            ),
            self.scales(classifiers),
        ]

    def loss(self) -> Loss:
        """Return label-aware smoothing."""
        settings = LOSSES.entries["label_aware_smoothing"]
        smoothing: Loss = settings(head=self.head, tail=self.tail)
        return smoothing
