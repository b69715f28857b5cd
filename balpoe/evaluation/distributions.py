"""Evaluation on several test distributions: the whole test set and ten long-tailed subsets of it.

N images, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS
from balpoe.evaluation.scoring import Evaluation, evaluate
from balpoe.method.long_tailed_counts import shifted_test_indices

WHOLE_TEST = "test"


@dataclass(frozen=True, eq=False, slots=True)
class DistributionEvaluation:
    """The evaluation on one test distribution.

    `distribution` is `test` for all images or a shift such as `forward_10`. With `known_prior`
    the predictions are adjusted to the class frequencies of that distribution.
    """

    distribution: str
    images: int
    known_prior: bool
    evaluation: Evaluation

    @property
    def split(self) -> str:
        """The prefix of its metrics: `test`, `test_forward_10`, `test_forward_10_known_prior`."""
        shift = "" if self.distribution == WHOLE_TEST else f"_{self.distribution}"
        return f"{WHOLE_TEST}{shift}{KNOWN_PRIOR if self.known_prior else ''}"

    def scalars(self) -> dict[str, float]:
        """The metrics of the ensemble and the experts: `test_forward_10/expert_0/accuracy`."""
        return self.evaluation.scalars(self.split)


def evaluate_distributions(
    logits_nec: Tensor,
    labels_n: Tensor,
    *,
    prior_c: Tensor,
    lambdas: Sequence[float],
    class_counts: Sequence[int],
) -> tuple[DistributionEvaluation, ...]:
    """Evaluate all test images and every shift, each without and with its prior known.

    Raises:
        NonFiniteError: logits are NaN or infinite.
        DataError: there are no images, or a label is no class.
    """
    classes = len(class_counts)
    results = []
    for name, indices_b in distribution_indices(labels_n, class_counts):
        labels_b = labels_n[indices_b]
        images_c = torch.bincount(labels_b, minlength=classes)
        for test_prior_c in (None, images_c / images_c.sum()):
            evaluation = evaluate(
                logits_nec[indices_b],
                labels_b,
                prior_c=prior_c,
                lambdas=lambdas,
                class_counts=class_counts,
                test_prior_c=test_prior_c,
            )
            known_prior = test_prior_c is not None
            results.append(DistributionEvaluation(name, len(labels_b), known_prior, evaluation))
    return tuple(results)


def distribution_indices(
    labels_n: Tensor, class_counts: Sequence[int]
) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each distribution and the indices of its test images.

    `class_counts` are the training images of each class; they determine head and tail.
    """
    yield WHOLE_TEST, torch.arange(len(labels_n))
    labels = labels_n.numpy()
    for shift in SHIFTS:
        yield shift.name, torch.from_numpy(shifted_test_indices(labels, shift, class_counts))
