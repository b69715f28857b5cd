"""Which training images an epoch visits, and in which order.

N images, C classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from balpoe.config.configuration import ClassSampling
from balpoe.config.mixing import PartnerSampling
from balpoe.method.class_weights import class_probabilities

Order = npt.NDArray[np.int32]
Labels = npt.NDArray[np.integer]


def epoch_order(
    labels_n: Labels, sampling: ClassSampling, progress: float, generator: np.random.Generator
) -> Order:
    """Return the images of an epoch: int32 [N].

    `progress` is 0 in the first and 1 in the last epoch, for progressive sampling.
    """
    if sampling == "image":
        return generator.permutation(np.arange(len(labels_n), dtype=np.int32))
    counts_c = np.bincount(labels_n)
    shares_c = class_probabilities(sampling, counts_c.tolist(), progress)
    return order_by_class(labels_n, shares_c.numpy(), generator)


def partner_order(
    labels_n: Labels, sampling: PartnerSampling, generator: np.random.Generator
) -> Order:
    """Return a partner from the whole set for each visit of an epoch: int32 [N]."""
    counts_c = np.bincount(labels_n, minlength=len(sampling.weights))
    shares_c = counts_c * np.asarray(sampling.weights)
    return order_by_class(labels_n, shares_c / shares_c.sum(), generator)


def order_by_class(
    labels_n: Labels, shares_c: npt.NDArray[np.float64], generator: np.random.Generator
) -> Order:
    """Draw N images: classes with probabilities [C], the images of each class in turn.

    The images of a class are visited in random order, and again in another one, until there are
    enough: equally often, up to 1.
    """
    drawn_c = generator.multinomial(len(labels_n), shares_c)
    counts_c = np.bincount(labels_n, minlength=len(shares_c))
    rows_n = np.argsort(labels_n, kind="stable").astype(np.int32)
    starts_c = np.cumsum(counts_c) - counts_c
    parts = []
    for y in np.flatnonzero(drawn_c):
        of_class = rows_n[starts_c[y] : starts_c[y] + counts_c[y]]
        rounds = -(-drawn_c[y] // counts_c[y])
        visits = generator.permuted(np.tile(of_class, (rounds, 1)), axis=1)
        parts.append(visits.reshape(-1)[: drawn_c[y]])
    return generator.permutation(np.concatenate(parts))


def partners_within(
    labels_sb: Labels, sampling: PartnerSampling, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw the place of a partner in the batch for each image of S batches: int64 [S, B]."""
    weights_sb = np.asarray(sampling.weights)[labels_sb]
    ends_sb = np.cumsum(weights_sb, axis=1)
    drawn_sb = generator.random(labels_sb.shape) * ends_sb[:, -1:]
    places = [np.searchsorted(*row, side="right") for row in zip(ends_sb, drawn_sb, strict=True)]
    # a draw that is rounded up to the end of its row has no place
    places_sb: npt.NDArray[np.int64] = np.minimum(np.stack(places), labels_sb.shape[1] - 1)
    return places_sb
