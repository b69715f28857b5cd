"""Labelled images that a final training leaves out.

N images, H height, W width, D channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing

import torch

from balpoe.config import DataSource
from balpoe.config.data import LongTailed
from balpoe.data.loading import load_validation_images
from balpoe.data.splits import FinalSplits, Images, ImageSet
from balpoe.errors import NoValidationImages

_IMAGES_AT_ONCE = 256


def held_out_images(settings: DataSource, final: FinalSplits) -> Images | None:
    """Return the validation images of a search that are not among the final training images.

    Images are compared by their pixels. None if there are none, or if the source has no validation
    images.

    Raises:
        DataError: the validation images cannot be used.
        StorageError: a file cannot be read.
    """
    if _has_all_labelled_images(settings, final):
        return None
    try:
        validation = load_validation_images(settings)
    except NoValidationImages:
        return None
    if not _fit_model_of(final, validation):
        return None
    digests = list(_digests(validation))
    trained = set(digests).intersection(_digests(final.train))
    kept = [n for n, digest in enumerate(digests) if digest not in trained]
    if not kept:
        return None
    if not isinstance(validation, ImageSet):
        left_out = set(range(len(validation))) - set(kept)
        return validation.without(dict.fromkeys(left_out, "is a training image"))
    kept_n = torch.tensor(kept)
    return ImageSet(validation.images_nhwd[kept_n], validation.labels_n[kept_n])


def _has_all_labelled_images(settings: DataSource, final: FinalSplits) -> bool:
    """Return whether the set is not cut, and its own validation split, if any, is trained on."""
    is_natural = isinstance(settings, LongTailed) and settings.imbalance_ratio is None
    return is_natural and final.own_validation != 0


def _fit_model_of(final: FinalSplits, validation: Images) -> bool:
    classes = len(final.description.class_names)
    has_known_classes = bool((validation.labels_n < classes).all())
    return has_known_classes and validation.shape_hwd == final.train.shape_hwd


def _digests(images: Images) -> Iterator[bytes]:
    with closing(images.in_order(_IMAGES_AT_ONCE)) as batches:
        for batch_bhwd in batches:
            for image_hwd in batch_bhwd.contiguous().numpy():
                yield hashlib.blake2b(image_hwd.tobytes(), digest_size=16).digest()
