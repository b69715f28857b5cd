"""A summary of predictions for labelled images, as plain numbers: what figures and reports show.

It is stored with a trial and with a model, so that a report reads files only. This module imports
no torch; `balpoe.evaluation.summarising` computes a summary. C classes, E experts, K bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Split = Literal["val", "test"]


@dataclass(frozen=True, slots=True)
class BinnedConfidences:
    """The data of a reliability diagram, in K bins of equal width over (0, 1].

    Attributes:
        images: The images in each bin, [K].
        weight: The share of the total weight in each bin, [K].
        confidence: The weighted mean confidence in each bin, [K]; None in an empty bin.
        accuracy: The weighted accuracy in each bin, [K]; None in an empty bin.
        ece: The expected calibration error.
        mce: The maximum calibration error.
        ece_floor: The mean ECE of perfectly calibrated predictions with these confidences.
        ece_floor_sd: Its standard deviation over drawn labels.
    """

    images: tuple[int, ...]
    weight: tuple[float, ...]
    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]
    ece: float
    mce: float
    ece_floor: float
    ece_floor_sd: float


@dataclass(frozen=True, slots=True)
class ScorerSummary:
    """The predictions of the ensemble or of one expert.

    Attributes:
        lam: The λ of the expert, or the mean λ of the ensemble; None if its loss uses no λ, or one
            for each class.
        accuracy: The accuracy with images weighted.
        balanced_accuracy: The accuracy with classes weighted.
        by_images: The reliability bins with images weighted.
        by_classes: The reliability bins with classes weighted.
        shot_accuracy: The accuracy on many, medium and few, where these groups have images.
        recall_c: The accuracy on the images of each class, [C]; None for a class without images.
        predicted_c: The images that are predicted to be of each class, [C].
        target_prior_c: The prior that the training aims at, [C].
        marginal_c: The mean probability of each class over class-balanced inputs, [C].
        kl_to_target_prior: The divergence KL(target prior || marginal) as METHOD defines it, nats.
    """

    lam: float | None
    accuracy: float
    balanced_accuracy: float
    by_images: BinnedConfidences
    by_classes: BinnedConfidences
    shot_accuracy: Mapping[str, float]
    recall_c: tuple[float | None, ...]
    predicted_c: tuple[int, ...]
    target_prior_c: tuple[float, ...]
    marginal_c: tuple[float, ...]
    kl_to_target_prior: float


@dataclass(frozen=True, slots=True)
class WithoutExpert:
    """The ensemble of all other experts."""

    balanced_accuracy: float
    balanced_ece: float


@dataclass(frozen=True, slots=True)
class PredictionSummary:
    """The predictions for a whole split, with the prior unknown.

    Attributes:
        split: The split: `val` of a trial, `test` of a model.
        class_names: The names of the classes, [C].
        train_counts_c: The training images of each class, [C].
        images_c: The images of each class in this split, [C].
        ensemble: The product of experts.
        experts: Each expert, [E].
        confusion: The true class, the class that the ensemble predicts, and the number of images,
            for each pair that occurs.
        disagreement_ee: The share of images for which two experts predict different classes,
            [E, E].
        without_expert_e: The ensemble without each expert, [E]; empty for a single expert.
        floors: The floor of every metric of the study that is an ECE, by its name.
    """

    split: Split
    class_names: tuple[str, ...]
    train_counts_c: tuple[int, ...]
    images_c: tuple[int, ...]
    ensemble: ScorerSummary
    experts: tuple[ScorerSummary, ...]
    confusion: tuple[tuple[int, int, int], ...]
    disagreement_ee: tuple[tuple[float, ...], ...]
    without_expert_e: tuple[WithoutExpert, ...]
    floors: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_balanced(self) -> bool:
        """Whether all classes with images have the same number of them."""
        return len({images for images in self.images_c if images}) == 1
