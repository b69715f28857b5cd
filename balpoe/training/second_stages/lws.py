"""Learnable weight scaling, LWS (Kang et al., ICLR 2020, section 4.2)."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.bounds import Count, NonNegative, Positive
from balpoe.config.second_stage import SECOND_STAGES, Classifier, TrainedStage, TrainedWeights

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingStage(TrainedStage, ABC):
    """A stage that learns a scale of each class, at first 1; abstract."""

    def prepare(
        self, classifiers: Sequence[Classifier], generators: Sequence[torch.Generator]
    ) -> None:
        """Add the scales."""
        for classifier in classifiers:
            classifier.add_class_scales()

    def scales(self, classifiers: Sequence[Classifier]) -> TrainedWeights:
        """Return the scales, for `trained_weights`."""
        scales = [classifier.class_scales for classifier in classifiers]
        return TrainedWeights([each for each in scales if each is not None])


@SECOND_STAGES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class LearnableWeightScaling(ScalingStage):
    """The logits of each class are multiplied by a learned scale, at first 1; all else is frozen.

    As in the released code, the scales apply to the biases, too. The published learning rate, 0.2
    for batches of 512, is scaled to batches of 128.
    """

    name: Literal["lws"] = "lws"
    epochs: Count = 5
    learning_rate: Positive = 0.05
    weight_decay: NonNegative = 5e-4

    def trained_weights(self, classifiers: Sequence[Classifier]) -> Sequence[TrainedWeights]:
        """Return the scales."""
        return [self.scales(classifiers)]
