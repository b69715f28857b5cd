"""Reads encoded images of a store by their number, in any process; `store_files` writes them.

Decoding processes import it: it must import little, neither torch nor pyarrow.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

RECORD = struct.Struct("<QQ")  # where an entry begins, and its bytes
HEADER = struct.Struct("<?I")  # whether the content is a path, and the bytes of the place


@dataclass(frozen=True, slots=True)
class Entry:
    """An encoded image, or the file that holds it, and how messages call it."""

    place: str
    encoded: bytes | Path


class EncodedStore:
    """The open files of a store, by their descriptors."""

    def __init__(self, index: int, entries: int) -> None:
        self.index, self.entries = index, entries

    def __getitem__(self, number: int) -> Entry:
        start, size = RECORD.unpack(os.pread(self.index, RECORD.size, number * RECORD.size))
        entry = os.pread(self.entries, size, start)
        is_path, place_bytes = HEADER.unpack_from(entry)
        content = HEADER.size + place_bytes
        encoded = entry[content:]
        return Entry(
            entry[HEADER.size : content].decode(),
            Path(os.fsdecode(encoded)) if is_path else encoded,
        )
