"""Labelled images before decoding, from any source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from balpoe.data.decoding.image_names import PackedNames
from balpoe.method.long_tailed_counts import Indices

_FILES_AT_ONCE = 1024
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, eq=False, slots=True)
class EncodedImages:
    """Some of the requested images: their content, or the paths of their files.

    `rows` are the rows of the images in the source, `positions` are the indices of these rows among
    the requested rows.
    """

    positions: Indices
    rows: Indices
    encoded: Sequence[bytes | Path]


class ImageSource(Protocol):
    """Encoded images by their row, counted from 0."""

    def place(self, row: int) -> str:
        """Return the name of the image of a row in messages."""

    def paths(self, rows: Indices) -> Iterator[str | None]:
        """Yield the path of the file of each of these rows, None where it is not known."""

    def encoded_images(self, rows: Indices) -> Iterator[EncodedImages]:
        """Yield the encoded images of these rows in groups."""


@dataclass(frozen=True, eq=False, slots=True)
class ImageFiles:
    """Images in one file each; names are relative to `root`.

    If the names come from a list, `list_file` is its path and `lines` holds the line of each name,
    counted from 1.
    """

    root: Path
    names: PackedNames
    list_file: Path | None = None
    lines: Sequence[int] = ()

    def path(self, row: int) -> Path:
        """Return the path of the image of a row."""
        return self.root / self.names[row]

    def place(self, row: int) -> str:
        """Return the name of the image of a row in messages."""
        path = _escaped(printable(self.path(row)))
        return path if self.list_file is None else f"{self.list_file}:{self.lines[row]} ({path})"

    def paths(self, rows: Indices) -> Iterator[str | None]:
        """Yield the path of each of these rows; bytes that are not UTF-8 become `?`."""
        return (printable(self.path(row)) for row in rows.tolist())

    def encoded_images(self, rows: Indices) -> Iterator[EncodedImages]:
        """Yield the paths of these rows; the files are read when the images are decoded."""
        for start in range(0, len(rows), _FILES_AT_ONCE):
            group = rows[start : start + _FILES_AT_ONCE]
            positions = np.arange(start, start + len(group))
            yield EncodedImages(positions, group, [self.path(row) for row in group])


@dataclass(frozen=True, eq=False, slots=True)
class JoinedImages:
    """The images of `first`, which are `first_count`, followed by those of `second`."""

    first: ImageSource
    first_count: int
    second: ImageSource

    def place(self, row: int) -> str:
        """Return the name of the image of a row in messages."""
        source, offset = self._source_of(row)
        return source.place(row - offset)

    def paths(self, rows: Indices) -> Iterator[str | None]:
        """Yield the path of the file of each of these rows, None where it is not known."""
        found: dict[int, str | None] = {}
        for source, offset, positions in self._parts(rows):
            paths = source.paths(rows[positions] - offset)
            found |= zip(positions.tolist(), paths, strict=True)
        return (found[position] for position in range(len(rows)))

    def encoded_images(self, rows: Indices) -> Iterator[EncodedImages]:
        """Yield the encoded images of these rows in groups."""
        for source, offset, positions in self._parts(rows):
            for group in source.encoded_images(rows[positions] - offset):
                yield EncodedImages(positions[group.positions], group.rows + offset, group.encoded)

    def _parts(self, rows: Indices) -> Iterator[tuple[ImageSource, int, Indices]]:
        """Yield each source, the number of its first row, and the positions of its rows."""
        is_second = rows >= self.first_count
        yield self.first, 0, np.flatnonzero(~is_second)
        yield self.second, self.first_count, np.flatnonzero(is_second)

    def _source_of(self, row: int) -> tuple[ImageSource, int]:
        if row < self.first_count:
            return self.first, 0
        return self.second, self.first_count


def printable(path: Path) -> str:
    """Return a path for messages; bytes that are not UTF-8 become `?`."""
    return str(path).encode(errors="replace").decode()


def _escaped(text: str) -> str:
    r"""Escape line breaks and other control characters of a text, such as `\n`."""
    return _CONTROL_CHARACTERS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


@dataclass(frozen=True, eq=False, slots=True)
class LabelledImages:
    """The images of one split; row n has the label `labels_n[n]`, int64 [N]."""

    source: ImageSource
    labels_n: Indices

    def __len__(self) -> int:
        return len(self.labels_n)

    def joined(self, other: LabelledImages) -> LabelledImages:
        """Return these images followed by `other`."""
        source = JoinedImages(self.source, len(self), other.source)
        return LabelledImages(source, np.concatenate([self.labels_n, other.labels_n]))
