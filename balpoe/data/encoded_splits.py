"""Splits of sources of encoded images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch

from balpoe.config.data import FittedImages, LongTailed
from balpoe.data.decoding.decoded_images import Decoding, decode_rows, memory_gib
from balpoe.data.decoding.encoded_images import ImageSource, LabelledImages
from balpoe.data.decoding.image_decoding import ImageShape, image_shape
from balpoe.data.decoding.streamed_images import stream_rows
from balpoe.data.description import describe_final, describe_search
from balpoe.data.image_locations import locate_images
from balpoe.data.row_selection import search_rows, training_rows
from balpoe.data.source import Source
from balpoe.data.splits import FinalSplits, Images, ImageSet, Normalisation, SearchSplits
from balpoe.errors import DataError, NoValidationImages
from balpoe.method.long_tailed_counts import Indices

Settings = TypeVar("Settings", bound=FittedImages)


@dataclass(frozen=True, eq=False, slots=True)
class SearchImages:
    """The images of a source for a search.

    Without a `validation` split, validation images are taken from the training images.
    """

    class_names: tuple[str, ...]
    train: LabelledImages
    validation: LabelledImages | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class FinalImages:
    """The images of a source for final training and evaluation.

    `validation` is the source's own validation split, or None.
    """

    class_names: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages
    remarks: tuple[str, ...] = ()
    validation: LabelledImages | None = None


class EncodedSource(Source, Generic[Settings]):
    """A source of encoded images: a subclass finds the images, this class decodes them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @abstractmethod
    def search_images(self) -> SearchImages:
        """Find the training images, and the validation images if the source has them."""

    @abstractmethod
    def final_images(self) -> FinalImages:
        """Find the training and test images, and the validation images if the source has them."""

    def search_splits(self) -> SearchSplits:
        """Decode the training and validation images of a search."""
        found = self.search_images()
        train, validation = _decoded_splits(self._settings, _rows_for_search(self._settings, found))
        _require_images_left(train, found.class_names)
        splits = describe_search(
            train.images, validation.images, found.class_names, normalisation(self._settings)
        )
        return replace(
            splits,
            remarks=(*found.remarks, *train.remarks(), *validation.remarks()),
            has_own_validation=found.validation is not None,
        )

    def final_splits(self) -> FinalSplits:
        """Decode the full cut, or all labelled images of a natural set, and all test images."""
        found = self.final_images()
        training = _rows_for_training(self._settings, found)
        chosen = [training, _all_rows("test", found.test)]
        train, test = _decoded_splits(self._settings, chosen)
        _require_images_left(train, found.class_names)
        splits = describe_final(
            train.images, test.images, found.class_names, normalisation(self._settings)
        )
        return replace(
            splits,
            remarks=(*found.remarks, *train.remarks(), *test.remarks()),
            test_locations=locate_images(found.test.source, test.decoded_rows),
            own_validation=_own_validation(train, found),
        )

    def validation_images(self) -> Images:
        """Decode the validation images only."""
        chosen = _rows_for_validation(self._settings, self.search_images())
        if not len(chosen.rows):
            raise NoValidationImages("data: there are no validation images: add images")
        (validation,) = _decoded_splits(self._settings, [chosen])
        return validation.images

    def test_images(self) -> Images:
        """Decode the test images only."""
        (test,) = _decoded_splits(self._settings, [_all_rows("test", self.final_images().test)])
        return test.images


def normalisation(config: LongTailed) -> Normalisation | None:
    """Return the normalisation in the settings, or None."""
    if config.mean is None or config.std is None:
        return None
    return Normalisation(config.mean, config.std)


@dataclass(frozen=True, eq=False, slots=True)
class _SplitRows:
    """The rows of a source that form a split; `split` is its name in messages."""

    split: str
    images: LabelledImages
    rows: Indices

    @property
    def labels_n(self) -> Indices:
        return self.images.labels_n[self.rows]


@dataclass(frozen=True, eq=False, slots=True)
class _DecodedSplit:
    """The decoded images of a split, and why some are left out, by position in the split."""

    chosen: _SplitRows
    images: Images
    unreadable: Mapping[int, str]

    @property
    def decoded_rows(self) -> Indices:
        rows: Indices = np.delete(self.chosen.rows, list(self.unreadable))
        return rows

    def remarks(self) -> Iterator[str]:
        if self.unreadable:
            yield (
                f"{len(self.unreadable)} of {len(self.chosen.rows)} {self.chosen.split} images are "
                f"unreadable and left out; the first: {next(iter(self.unreadable.values()))}"
            )


def _rows_for_search(config: FittedImages, found: SearchImages) -> tuple[_SplitRows, _SplitRows]:
    labels_n, classes = found.train.labels_n, len(found.class_names)
    if found.validation is None:
        split = search_rows(config, labels_n, classes)
        return (
            _SplitRows("training", found.train, split.train),
            _SplitRows("validation", found.train, split.validation),
        )
    if config.validation_per_class is not None:
        raise DataError(
            "data.validation_per_class: is only for sets without a validation split: leave it out"
        )
    rows = training_rows(config, labels_n, classes)
    return _SplitRows("training", found.train, rows), _all_rows("validation", found.validation)


def _rows_for_validation(config: FittedImages, found: SearchImages) -> _SplitRows:
    if found.validation is not None:
        return _all_rows("validation", found.validation)
    split = search_rows(config, found.train.labels_n, len(found.class_names))
    return _SplitRows("validation", found.train, split.validation)


def _rows_for_training(config: FittedImages, found: FinalImages) -> _SplitRows:
    rows = training_rows(config, found.train.labels_n, len(found.class_names))
    if found.validation is None or not _trains_on_validation(config):
        return _SplitRows("training", found.train, rows)
    return _all_rows("training", found.train.joined(found.validation))


def _trains_on_validation(config: FittedImages) -> bool:
    """Whether final training uses the set's own validation split; a cut never does."""
    return config.final_uses_validation and config.imbalance_ratio is None


def _own_validation(train: _DecodedSplit, found: FinalImages) -> int | None:
    """Return the number of training images from the set's own validation split, or None."""
    if found.validation is None:
        return None
    return int(np.count_nonzero(train.decoded_rows >= len(found.train)))


def _all_rows(split: str, images: LabelledImages) -> _SplitRows:
    return _SplitRows(split, images, np.arange(len(images)))


def _decoded_splits(config: FittedImages, chosen: Sequence[_SplitRows]) -> Iterator[_DecodedSplit]:
    decoding = _decoding(config, chosen[0].images.source)
    needed_gib = memory_gib(sum(len(split.rows) for split in chosen), decoding.shape)
    load = _decoded_in_memory if needed_gib <= config.in_memory_limit else _streamed
    for rows in chosen:
        split = load(rows, decoding)
        if not len(split.images):
            unreadable = next(iter(split.unreadable.values()), "")
            hint = f"none can be read; the first: {unreadable}" if unreadable else "add images"
            raise DataError(f"data: there are no {rows.split} images: {hint}")
        yield split


def _decoded_in_memory(chosen: _SplitRows, decoding: Decoding) -> _DecodedSplit:
    decoded = decode_rows(chosen.images.source, chosen.rows, decoding)
    labels_n = torch.from_numpy(chosen.labels_n[decoded.kept])
    return _DecodedSplit(chosen, ImageSet(decoded.images_nhwd, labels_n), decoded.unreadable)


def _streamed(chosen: _SplitRows, decoding: Decoding) -> _DecodedSplit:
    images = stream_rows(chosen.images, chosen.rows, decoding)
    if not decoding.skipped:
        return _DecodedSplit(chosen, images, {})
    unreadable = images.unreadable()
    return _DecodedSplit(chosen, images.without(unreadable) if unreadable else images, unreadable)


def _decoding(config: FittedImages, source: ImageSource) -> Decoding:
    if config.image_size is None:
        shape = _shape_of_first_image(source)
    else:
        shape = ImageShape(config.image_size, config.image_size, config.channels or 3)
    return Decoding(
        shape,
        fitted=config.image_size is not None,
        skipped=config.unreadable == "skip",
        threads=torch.get_num_threads(),  # the number of CPUs assigned to this process
    )


def _shape_of_first_image(source: ImageSource) -> ImageShape:
    (first,) = source.encoded_images(np.zeros(1, dtype=np.int64))
    return image_shape(first.encoded[0], source.place(0))


def _require_images_left(train: _DecodedSplit, names: Sequence[str]) -> None:
    labels_n = train.chosen.labels_n
    readable_c = torch.bincount(train.images.labels_n, minlength=len(names))
    for place, reason in train.unreadable.items():
        y = labels_n[place]
        if readable_c[y] == 0:
            raise DataError(
                f"data.unreadable: none of the {np.count_nonzero(labels_n == y)} training images "
                f"of class {y} ({names[y]}) can be read; the first: {reason}"
            )
