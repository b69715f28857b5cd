"""Results of each class on the whole test set, and the confusion matrix.

N images, E experts, C classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class ClassResults:
    """The most probable class of every image, by the class of the image.

    `confusion` holds the number of images for each pair of true and predicted class that occurs.
    """

    classes: int
    confusion: Mapping[tuple[int, int], int]

    @cached_property
    def images_c(self) -> tuple[int, ...]:
        """The images of each class."""
        return self._totals(0)

    @cached_property
    def predicted_c(self) -> tuple[int, ...]:
        """For each class, the images that are predicted to be of it."""
        return self._totals(1)

    @cached_property
    def recall_c(self) -> tuple[float | None, ...]:
        """The share of the images of each class that are right: its accuracy; None without any."""
        return self._shares(self.images_c)

    @cached_property
    def precision_c(self) -> tuple[float | None, ...]:
        """The share of the predictions of each class that are right; None without any."""
        return self._shares(self.predicted_c)

    def _totals(self, member: int) -> tuple[int, ...]:
        """Sum the images by the true (0) or the predicted (1) class of the pairs."""
        totals = [0] * self.classes
        for pair, images in self.confusion.items():
            totals[pair[member]] += images
        return tuple(totals)

    def _shares(self, totals: Sequence[int]) -> tuple[float | None, ...]:
        return tuple(
            self.confusion.get((y, y), 0) / total if total else None
            for y, total in enumerate(totals)
        )


@dataclass(frozen=True, slots=True)
class ResultsByPrior:
    """The results of each class with the prior unknown and known.

    `known` is None where a class has no test images, because its known frequency would be 0.
    """

    unknown: ClassResults
    known: ClassResults | None


def as_plain(results: ResultsByPrior, class_names: Sequence[str]) -> dict[str, Any]:
    """Return the results as plain data: by prior, a section for each class.

    `predicted_as` is the row of the confusion matrix: the predicted classes with their images,
    without those that have none.
    """
    class_names = _distinct(class_names)
    return {
        "prior_unknown": _plain(results.unknown, class_names),
        "prior_known": None if results.known is None else _plain(results.known, class_names),
    }


def from_plain(plain: Mapping[str, Any]) -> ResultsByPrior:
    """Invert `as_plain`."""
    unknown = _from_plain(plain["prior_unknown"])
    known = plain["prior_known"]
    return ResultsByPrior(unknown, None if known is None else _from_plain(known))


def _distinct(class_names: Sequence[str]) -> list[str]:
    """Return the names, with the index of the class where two classes have the same name."""
    names = list(class_names)
    while len(set(names)) < len(names):  # "a (class 0)" may be the name of another class
        times = Counter(names)
        names = [
            name if times[name] == 1 else f"{name} (class {y})" for y, name in enumerate(names)
        ]
    return names


def _plain(results: ClassResults, class_names: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, int]] = [{} for _ in class_names]
    for (true, predicted), images in results.confusion.items():
        rows[true][class_names[predicted]] = images
    numbers = zip(
        class_names,
        results.images_c,
        results.predicted_c,
        results.recall_c,
        results.precision_c,
        rows,
        strict=True,
    )
    names = ("class", "images", "predicted", "recall", "precision", "predicted_as")
    return [dict(zip(names, section, strict=True)) for section in numbers]


def _from_plain(plain: Sequence[Mapping[str, Any]]) -> ClassResults:
    index = {section["class"]: y for y, section in enumerate(plain)}
    confusion = {
        (y, index[name]): images
        for y, section in enumerate(plain)
        for name, images in section["predicted_as"].items()
    }
    return ClassResults(len(index), confusion)
