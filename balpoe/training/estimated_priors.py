"""The test metrics of a trained model with the class frequencies of the test set estimated.

N images, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from balpoe.config.shifts import SHIFTS, metric_prefix
from balpoe.data import Images
from balpoe.evaluation.post_hoc import metrics_with_estimated_priors
from balpoe.training.model_directory import Provenance

MOST_CLASSES: Final = 1000
"""Priors of more classes are not estimated after a training: the time grows with their cube."""

_NO_HELD_OUT = "the model has no predictions for labelled images outside its training"
_TOO_MANY_CLASSES = (
    f"the training estimates at most {MOST_CLASSES:,} frequencies, and there are {{:,}} classes; "
    "`balpoe evaluate --post-hoc` estimates any number"
)
_WEIGHTED = "shifts that weight the classes of the test images have no unlabelled images"


@dataclass(frozen=True, slots=True)
class EstimatedPriorResults:
    """The metrics with an estimated prior, such as `test_forward_10_estimated_prior/ece`.

    `missing` is why some or all of them are missing, None where all are there.
    """

    scalars: Mapping[str, float]
    missing: str | None


def estimated_prior_results(
    logits_nec: Tensor,
    test: Images,
    provenance: Provenance,
    held_out: tuple[Tensor, Tensor] | None,
) -> EstimatedPriorResults:
    """Score logits [N, E, C] of the test images as `balpoe evaluate --post-hoc` does.

    The class frequencies of each distribution are estimated from its images without their labels.

    `held_out` are the logits [N, E, C] and labels [N] of the same model for labelled images outside
    its training.
    """
    class_counts = provenance.description.class_counts
    if held_out is None:
        return EstimatedPriorResults({}, _NO_HELD_OUT)
    if len(class_counts) > MOST_CLASSES:
        return EstimatedPriorResults({}, _TOO_MANY_CLASSES.format(len(class_counts)))
    found = metrics_with_estimated_priors(
        logits_nec,
        test.labels_n,
        priors=provenance.priors,
        class_counts=class_counts,
        held_out=held_out,
    )
    scalars = {
        f"{metric_prefix(distribution, 'estimated')}/{name}": value
        for distribution, metrics in found.items()
        for name, value in metrics.values.items()
    }
    return EstimatedPriorResults(scalars, _WEIGHTED if len(found) <= len(SHIFTS) else None)
