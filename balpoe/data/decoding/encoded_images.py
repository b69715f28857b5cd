"""Labelled images before they are decoded, wherever they lie."""

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
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, eq=False, slots=True)
class EncodedImages:
    """Some of the images that were asked for: their content, or the file that holds it.

    `rows` are their numbers in the source, `positions` their places among the rows asked for.
    """

    positions: Indices
    rows: Indices
    encoded: Sequence[bytes | Path]


class ImageSource(Protocol):
    """Encoded images by their row, counted from 0."""

    def place(self, row: int) -> str:
        """How messages call the image of a row."""

    def encoded_images(self, rows: Indices) -> Iterator[EncodedImages]:
        """The encoded images of these rows, some at a time."""


@dataclass(frozen=True, eq=False, slots=True)
class ImageFiles:
    """Images in files of their own, by their names below `root`.

    Where a list names them, `list_file` is its path and `lines` are theirs in it, counted from 1.
    """

    root: Path
    names: PackedNames
    list_file: Path | None = None
    lines: Sequence[int] = ()

    def path(self, row: int) -> Path:
        """The file of a row."""
        return self.root / self.names[row]

    def place(self, row: int) -> str:
        """How messages call the image of a row."""
        path = _on_one_line(printable(self.path(row)))
        return path if self.list_file is None else f"{self.list_file}:{self.lines[row]} ({path})"

    def encoded_images(self, rows: Indices) -> Iterator[EncodedImages]:
        """The paths of these rows; whoever decodes them reads the files."""
        for start in range(0, len(rows), _FILES_AT_ONCE):
            here = rows[start : start + _FILES_AT_ONCE]
            positions = np.arange(start, start + len(here))
            yield EncodedImages(positions, here, [self.path(row) for row in here])


def printable(path: Path) -> str:
    """A path for messages, also where its bytes are no UTF-8."""
    return str(path).encode(errors="replace").decode()


def _on_one_line(text: str) -> str:
    r"""A text whose line breaks and other control characters are escaped: `\n`."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@dataclass(frozen=True, eq=False, slots=True)
class LabelledImages:
    """The images of one split with their labels, int64 [N]: row n has the label `labels_n[n]`."""

    source: ImageSource
    labels_n: Indices

    def __len__(self) -> int:
        return len(self.labels_n)
