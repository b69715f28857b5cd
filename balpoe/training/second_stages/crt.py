"""Classifier re-training, cRT (Kang et al., ICLR 2020, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.bounds import Count, NonNegative, Positive
from balpoe.config.second_stage import SECOND_STAGES, Classifier, TrainedStage

if TYPE_CHECKING:
    import torch


@SECOND_STAGES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierRetraining(TrainedStage):
    """The classifiers are drawn again from the seed and trained on frozen features.

    The published learning rate, 0.2 for batches of 512, is scaled to batches of 128.
    """

    name: Literal["crt"] = "crt"
    epochs: Count = 10
    learning_rate: Positive = 0.05
    weight_decay: NonNegative = 5e-4

    def prepare(
        self, classifiers: Sequence[Classifier], generators: Sequence[torch.Generator]
    ) -> None:
        """Draw new weights."""
        for classifier, generator in zip(classifiers, generators, strict=True):
            classifier.initialise(generator)
