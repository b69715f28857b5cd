"""Compact storage and comparison of the names of image files."""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterable, Iterator


class PackedNames:
    """An append-only sequence of names in one buffer.

    A name takes eight bytes more than its own; as a `str` in a list it takes about sixty more.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._text = bytearray()
        self._ends = array("Q", [0])
        for name in names:
            self.append(name)

    def append(self, name: str) -> None:
        """Append a name, which need not be UTF-8 on disk."""
        self._text += name.encode(errors="surrogateescape")
        self._ends.append(len(self._text))

    @property
    def has_text(self) -> bool:
        """Whether a name is not empty."""
        return bool(self._text)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> str:
        start, end = self._ends[number : number + 2]
        return self._text[start:end].decode(errors="surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))


def composed(name: str) -> str:
    """Return a name in Unicode normalisation form NFC."""
    return unicodedata.normalize("NFC", name)


def caseless(name: str) -> str:
    """Return a key that is equal for names that differ only in case or Unicode normalisation."""
    return composed(name).casefold()
