"""Inspection of a source: counts, sizes, unreadable images and duplicates."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from balpoe.data.command_line_source import OpenedSource
from balpoe.data.decoding.encoded_images import LabelledImages
from balpoe.data.decoding.image_decoding import ImageShape, decode_whole
from balpoe.data.decoding.image_threads import map_images
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import ShotGroup, shot_groups

NEAR_EMPTY = 5
"""Classes with fewer training images provide at most one validation image."""

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class SplitInspection:
    """The images of one split.

    `class_counts` counts all labelled images, `shapes` those that can be decoded; `unreadable`
    holds the messages of the others.
    """

    class_counts: tuple[int, ...]
    shapes: Mapping[ImageShape, int]
    unreadable: tuple[str, ...]

    @property
    def images(self) -> int:
        """The number of labelled images."""
        return sum(self.class_counts)


@dataclass(frozen=True, slots=True)
class Copy:
    """One of several images with equal pixels."""

    split: str
    label: int
    place: str


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Images with the same size, channels and decoded pixels; their files may differ."""

    copies: tuple[Copy, ...]

    @property
    def cross_splits(self) -> bool:
        """Whether the copies are in several splits, which distorts results on these splits."""
        return len({copy.split for copy in self.copies}) > 1

    @property
    def disagree(self) -> bool:
        """Whether the copies have different labels."""
        return len({copy.label for copy in self.copies}) > 1


@dataclass(frozen=True, slots=True)
class Inspection:
    """A source's splits by name, training first; `ignored` counts files that are not images."""

    class_names: tuple[str, ...]
    splits: Mapping[str, SplitInspection]
    duplicates: tuple[Duplicates, ...]
    ignored: Mapping[str, int]

    @property
    def imbalance_ratio(self) -> float:
        """The size of the largest training class, divided by that of the smallest."""
        counts = self.splits["train"].class_counts
        return max(counts) / min(counts)

    @property
    def shots(self) -> dict[ShotGroup, tuple[int, ...]]:
        """The classes with many, a medium number and few training images."""
        return shot_groups(self.splits["train"].class_counts)

    @property
    def near_empty(self) -> tuple[int, ...]:
        """The classes with fewer than 5 training images."""
        counts = self.splits["train"].class_counts
        return tuple(y for y, count in enumerate(counts) if count < NEAR_EMPTY)


def inspect_source(
    source: OpenedSource, threads: int, on_image: Callable[[], None] = lambda: None
) -> Inspection:
    """Decode every image once; `on_image` is called after each."""
    classes = len(source.class_names)
    rows_by_digest: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    splits = {}
    for split, images in source.splits.items():
        shapes: Counter[ImageShape] = Counter()
        unreadable = []
        for result in _decode_all(images, threads):
            if isinstance(result, str):
                unreadable.append(result)
            else:
                shapes[result.shape] += 1
                rows_by_digest[result.digest].append((split, result.row))
            on_image()
        counts = np.bincount(images.labels_n, minlength=classes).tolist()
        splits[split] = SplitInspection(tuple(counts), shapes, tuple(unreadable))
    duplicates = [
        Duplicates(tuple(_copy(source, split, row) for split, row in rows))
        for rows in rows_by_digest.values()
        if len(rows) > 1
    ]
    return Inspection(source.class_names, splits, tuple(duplicates), dict(source.ignored))


@dataclass(frozen=True, slots=True)
class _DecodedImage:
    """The shape of a decoded image, and a digest of shape and pixels."""

    row: int
    shape: ImageShape
    digest: bytes


def _decode_all(images: LabelledImages, threads: int) -> Iterator[_DecodedImage | str]:
    """Decode every image; yield the message if it cannot be decoded."""

    def decode_one(_position: int, row: int, encoded: bytes | Path) -> _DecodedImage | str:
        try:
            pixels = decode_whole(encoded, images.source.place(row))
        except DataError as error:
            return str(error)
        shape = ImageShape(*pixels.shape)
        digest = hashlib.blake2b(repr(shape).encode(), digest_size=_DIGEST_BYTES)
        digest.update(pixels.data)
        return _DecodedImage(row, shape, digest.digest())

    return map_images(images.source, np.arange(len(images)), threads, decode_one)


def _copy(source: OpenedSource, split: str, row: int) -> Copy:
    images = source.splits[split]
    return Copy(split, int(images.labels_n[row]), images.source.place(row))
