"""The names of image files: many of them in little memory, and which are one name elsewhere."""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterable, Iterator


class PackedNames:
    """Names one after the other in one buffer, which can only be added to.

    One takes its own bytes and eight more; as a `str` in a list it would take some sixty more.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._text = bytearray()
        self._ends = array("Q", [0])
        for name in names:
            self.append(name)

    def append(self, name: str) -> None:
        """Add a name; it may be one that is no UTF-8 on the disk."""
        self._text += name.encode(errors="surrogateescape")
        self._ends.append(len(self._text))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> str:
        start, end = self._ends[number : number + 2]
        return self._text[start:end].decode(errors="surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))


def composed(name: str) -> str:
    """A name in Unicode's form NFC, whatever its form on the disk."""
    return unicodedata.normalize("NFC", name)


def caseless(name: str) -> str:
    """What two names have in common that differ in capitals or in how accents are stored."""
    return composed(name).casefold()
