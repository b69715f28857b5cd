"""What is in a source: counts, sizes, unreadable images and duplicates."""

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
from balpoe.data.decoding.image_threads import over_images
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import ShotGroup, shot_groups

NEAR_EMPTY = 5
"""Classes with fewer training images give validation one image at most."""

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class SplitInspection:
    """The images of one split.

    `class_counts` count every labelled image, `shapes` those that can be decoded; `unreadable`
    says why the others cannot.
    """

    class_counts: tuple[int, ...]
    shapes: Mapping[ImageShape, int]
    unreadable: tuple[str, ...]

    @property
    def images(self) -> int:
        """All labelled images."""
        return sum(self.class_counts)


@dataclass(frozen=True, slots=True)
class Copy:
    """One of several images with equal pixels."""

    split: str
    label: int
    place: str


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Images that are equal in size, channels and every decoded pixel, whatever their files."""

    copies: tuple[Copy, ...]

    @property
    def cross_splits(self) -> bool:
        """Whether an image of one split is in another: then results on it mean little."""
        return len({copy.split for copy in self.copies}) > 1

    @property
    def disagree(self) -> bool:
        """Whether the same image has several labels."""
        return len({copy.label for copy in self.copies}) > 1


@dataclass(frozen=True, slots=True)
class Inspection:
    """A source's splits by name, training first; `ignored` counts files that are no images."""

    class_names: tuple[str, ...]
    splits: Mapping[str, SplitInspection]
    duplicates: tuple[Duplicates, ...]
    ignored: Mapping[str, int]

    @property
    def imbalance_ratio(self) -> float:
        """The images of the largest class of the training split for each of the smallest."""
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
        for seen in _looked_at(images, threads):
            if isinstance(seen, str):
                unreadable.append(seen)
            else:
                shapes[seen.shape] += 1
                rows_by_digest[seen.digest].append((split, seen.row))
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
class _Seen:
    row: int
    shape: ImageShape
    digest: bytes


def _looked_at(images: LabelledImages, threads: int) -> Iterator[_Seen | str]:
    """What every image shows, or why it cannot be decoded."""

    def look(_position: int, row: int, encoded: bytes | Path) -> _Seen | str:
        try:
            pixels = decode_whole(encoded, images.source.place(row))
        except DataError as error:
            return str(error)
        shape = ImageShape(*pixels.shape)
        digest = hashlib.blake2b(repr(shape).encode(), digest_size=_DIGEST_BYTES)
        digest.update(pixels.data)
        return _Seen(row, shape, digest.digest())

    return over_images(images.source, np.arange(len(images)), threads, look)


def _copy(source: OpenedSource, split: str, row: int) -> Copy:
    images = source.splits[split]
    return Copy(split, int(images.labels_n[row]), images.source.place(row))
