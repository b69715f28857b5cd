"""Description of the data for a model: class counts, normalisation and fingerprint.

N images, H height, W width, D channels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from balpoe.data.splits import (
    DataDescription,
    FinalSplits,
    Images,
    Normalisation,
    SearchSplits,
)
from balpoe.errors import DataError

_FINGERPRINT_FORMAT = 1
_PIXELS_AT_ONCE = 2**20


def describe_search(
    train: Images,
    validation: Images,
    class_names: Sequence[str],
    normalisation: Normalisation | None = None,
) -> SearchSplits:
    """Return search splits with their description; `normalisation` is measured if None."""
    splits = {"train": train, "validation": validation}
    return SearchSplits(train, validation, _describe(splits, class_names, normalisation))


def describe_final(
    train: Images,
    test: Images,
    class_names: Sequence[str],
    normalisation: Normalisation | None = None,
) -> FinalSplits:
    """Return final splits with their description; `normalisation` is measured if None."""
    splits = {"train": train, "test": test}
    return FinalSplits(train, test, _describe(splits, class_names, normalisation))


def _describe(
    splits: Mapping[str, Images], class_names: Sequence[str], normalisation: Normalisation | None
) -> DataDescription:
    train = splits["train"]
    counts = np.bincount(train.labels_n.numpy(), minlength=len(class_names)).tolist()
    for y, count in enumerate(counts):
        if count == 0:
            raise DataError(
                f"data.imbalance_ratio: the cut leaves class {y} ({class_names[y]}) without a "
                f"training image: lower it, or raise data.head_count"
            )
    height, width, channels = train.shape_hwd
    normalisation = normalisation or measure_normalisation(train)
    if len(normalisation.mean) != channels:
        raise DataError(
            f"data.mean, data.std: {len(normalisation.mean)} numbers for images with "
            f"{channels} channels: give one per channel, or leave them out to measure them"
        )
    return DataDescription(
        class_names=tuple(class_names),
        class_counts=tuple(counts),
        height=height,
        width=width,
        channels=channels,
        normalisation=normalisation,
        fingerprint=fingerprint(splits, class_names, normalisation),
    )


def measure_normalisation(images: Images) -> Normalisation:
    """Return mean and standard deviation per channel, from exact integer histograms.

    Raises:
        DataError: A channel has the same value in every pixel.
    """
    levels = np.arange(256) / 255
    mean, std = [], []
    for channel, share in enumerate(_histograms(images)):
        mean.append(float(share @ levels))
        std.append(float(np.sqrt(share @ (levels - mean[-1]) ** 2)))
        if std[-1] == 0:
            raise DataError(
                f"data: channel {channel} is the same in every pixel of the training images: "
                f"check the images, or give data.mean and data.std"
            )
    return Normalisation(tuple(mean), tuple(std))


def _histograms(images: Images) -> NDArray[np.float64]:
    """Return the share of each grey level, [D, 256]."""
    counts = np.zeros((images.shape_hwd[2], 256), dtype=np.int64)
    with closing(images.in_order(_images_per_block(images))) as blocks:
        # in blocks, because bincount converts its input to int64
        for block_nhwd in blocks:
            for channel, count in enumerate(counts):
                count += np.bincount(block_nhwd[..., channel].numpy().ravel(), minlength=256)
    shares: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return shares


def _images_per_block(images: Images) -> int:
    """Return the number of images per block of about `_PIXELS_AT_ONCE` pixels."""
    height, width, _ = images.shape_hwd
    return max(1, _PIXELS_AT_ONCE // (height * width))


def test_fingerprint(test: Images, description: DataDescription) -> str:
    """Return the fingerprint of only the test images, with the described classes."""
    return fingerprint({"test": test}, description.class_names, description.normalisation)


def fingerprint(
    splits: Mapping[str, Images], class_names: Sequence[str], normalisation: Normalisation
) -> str:
    """Return the sha256 of the data of a training, as hexadecimal digits.

    The hash covers, in this order: a JSON header (sorted keys, no spaces, UTF-8) of format number,
    class names, mean, std and the name and shape of each split; then for each split its pixels
    (uint8, NHWD) and its labels (int64, little-endian).
    """
    header = {
        "format": _FINGERPRINT_FORMAT,
        "class_names": list(class_names),
        "mean": normalisation.mean,
        "std": normalisation.std,
        "splits": [[name, [len(images), *images.shape_hwd]] for name, images in splits.items()],
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode())
    for images in splits.values():
        with closing(images.in_order(_images_per_block(images))) as blocks:
            for block_nhwd in blocks:
                digest.update(np.ascontiguousarray(block_nhwd.numpy()).data)
        digest.update(np.ascontiguousarray(images.labels_n.numpy(), dtype="<i8").data)
    return digest.hexdigest()
