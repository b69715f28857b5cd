"""The corrections by τ of a trained model, with τ chosen on images outside its training.

N images, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from balpoe.data import Images
from balpoe.evaluation.tau_choices import (
    CorrectedImages,
    Correction,
    LogitAdjustment,
    TauChoice,
    TauNormalisation,
    tau_choice,
)
from balpoe.models.classifiers import biases_and_norms
from balpoe.training.model_directory import TrainedModel

HELD_OUT: Final = "{:,} labelled images that the training of the model leaves out"
NO_HELD_OUT: Final = (
    "the training of the model leaves out no labelled images, as "
    "data.final_uses_validation: false may do"
)


def tau_choices(
    trained: TrainedModel,
    logits_nec: Tensor,
    test: Images,
    held_out: tuple[Tensor, Tensor] | None,
) -> Iterator[TauChoice]:
    """Yield logit adjustment, and τ-normalisation where the classifiers are linear.

    `logits_nec` are those of the test images. τ is chosen on images that the training leaves out:
    `held_out` are their logits [N, E, C] and labels [N], None if there are none.
    Logit adjustment can be chosen on the validation images of the search trial, too: it is the same
    for another model of the configuration, while norms of weights are a model's own.
    """
    provenance = trained.provenance
    counts = provenance.description.class_counts

    def images(
        correction: Correction,
    ) -> tuple[CorrectedImages, CorrectedImages | None, str]:
        on_test = CorrectedImages(correction, logits_nec, test.labels_n, counts)
        if held_out is None:
            return on_test, None, NO_HELD_OUT
        return (
            on_test,
            CorrectedImages(correction, *held_out, counts),
            HELD_OUT.format(len(held_out[1])),
        )

    on_test, left_out, origin = images(LogitAdjustment(counts, provenance.priors))
    searched = trained.validation_predictions()
    if left_out is None and searched is not None:
        left_out = CorrectedImages(
            LogitAdjustment(searched.class_counts, searched.priors),
            torch.from_numpy(searched.logits_nec),
            torch.from_numpy(searched.labels_n.copy()),
            searched.class_counts,
        )
        origin = searched.origin
    yield tau_choice(on_test, left_out, origin)
    classifiers = trained.experts.classifiers
    if all(classifier.bias is not None for classifier in classifiers):
        yield tau_choice(*images(TauNormalisation(*biases_and_norms(classifiers))))
