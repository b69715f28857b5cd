"""Evaluation on several test distributions: the whole test set and ten long-tailed shifts of it.

A balanced test set is cut to the long tails of the papers. On any other test set, and where a cut
would leave a class without images, a shift weights the classes of all images instead, as
`balpoe.evaluation.simulated_shifts` does on the validation split.

N images, B images of a distribution, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from balpoe.config.shifts import SHIFTS, WHOLE_TEST, Shift, metric_prefix
from balpoe.evaluation.image_weights import class_weighted, effective_sample_size, shift_weights
from balpoe.evaluation.scoring import Evaluation, evaluate
from balpoe.method.calibration_bins import refuse_impossible_labels
from balpoe.method.long_tailed_counts import shifted_test_indices
from balpoe.method.priors import ExpertPriors


@dataclass(frozen=True, eq=False, slots=True)
class Distribution:
    """A test distribution: `test` for all images, or a shift such as `forward_10`.

    Attributes:
        name: The name in metrics.
        indices_b: The indices of its test images.
        class_weights_c: The weights of the classes, or None if all images have the same weight.
        prior_c: The class frequencies, or None if a class has no images: no model is adjusted to
            frequencies that rule a class out.
        effective_images: The effective sample size (Σw)²/Σw² of the weighted images.
    """

    name: str
    indices_b: Tensor
    class_weights_c: Tensor | None
    prior_c: Tensor | None
    effective_images: float

    @property
    def is_measurable(self) -> bool:
        """Whether the images represent the distribution: a shift needs images of every class."""
        return self.name == WHOLE_TEST or self.prior_c is not None


@dataclass(frozen=True, eq=False, slots=True)
class DistributionEvaluation:
    """The evaluation on one test distribution.

    With `known_prior` the predictions are adjusted to the class frequencies of the distribution.
    With `is_weighted` the images are those of the whole test set, weighted by class.
    `evaluation` is None where a class has no images: the distribution cannot be measured, or the
    frequencies cannot be known.
    """

    distribution: str
    images: int
    effective_images: float
    known_prior: bool
    evaluation: Evaluation | None
    is_weighted: bool = False

    @property
    def split(self) -> str:
        """The prefix of its metrics: `test`, `test_forward_10`, `test_forward_10_known_prior`."""
        return metric_prefix(self.distribution, "known" if self.known_prior else "unknown")

    def scalars(self) -> dict[str, float]:
        """The metrics of the ensemble and the experts: `test_forward_10/expert_0/accuracy`."""
        return {} if self.evaluation is None else self.evaluation.scalars(self.split)


def evaluate_distributions(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    priors: ExpertPriors,
    class_counts: Sequence[int],
    cost_cc: Tensor | None = None,
) -> tuple[DistributionEvaluation, ...]:
    """Evaluate all test images and every shift, each without and with its prior known.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    results = []
    for found in distributions(labels_n, class_counts):
        for known_prior in (False, True):
            evaluation = None
            if found.prior_c is not None if known_prior else found.is_measurable:
                evaluation = evaluate(
                    logits_nec[found.indices_b],
                    labels_n[found.indices_b],
                    priors=priors,
                    class_counts=class_counts,
                    class_weights_c=found.class_weights_c,
                    test_prior_c=found.prior_c if known_prior else None,
                    cost_cc=cost_cc,
                    is_final=True,
                )
            results.append(
                DistributionEvaluation(
                    found.name,
                    len(found.indices_b),
                    found.effective_images,
                    known_prior,
                    evaluation,
                    found.class_weights_c is not None,
                )
            )
    return tuple(results)


def distributions(labels_n: Tensor, class_counts: Sequence[int]) -> Iterator[Distribution]:
    """Yield the whole test set, then every shift.

    `class_counts` are the training images of each class; they determine head and tail.

    Raises:
        DataError: there are no images, or a label is no class.
    """
    refuse_impossible_labels(labels_n, len(class_counts))
    images_c = torch.bincount(labels_n, minlength=len(class_counts))
    everything = torch.arange(len(labels_n))
    yield _unweighted(WHOLE_TEST, everything, images_c)
    is_balanced = bool((images_c == images_c[0]).all())
    for shift in SHIFTS:
        if is_balanced:
            cut = torch.from_numpy(shifted_test_indices(labels_n.numpy(), shift, class_counts))
            left_c = torch.bincount(labels_n[cut], minlength=len(class_counts))
            if left_c.all():
                yield _unweighted(shift.name, cut, left_c)
                continue
        yield _weighted(shift, labels_n, images_c, class_counts)


def _unweighted(name: str, indices_b: Tensor, images_c: Tensor) -> Distribution:
    prior_c = images_c / images_c.sum() if images_c.all() else None
    return Distribution(name, indices_b, None, prior_c, float(len(indices_b)))


def _weighted(
    shift: Shift, labels_n: Tensor, images_c: Tensor, class_counts: Sequence[int]
) -> Distribution:
    weights_c = shift_weights(shift, class_counts)
    weights_n = class_weighted(labels_n, images_c, weights_c)
    return Distribution(
        shift.name,
        torch.arange(len(labels_n)),
        weights_c,
        weights_c / weights_c.sum() if images_c.all() else None,
        effective_sample_size(weights_n),
    )
