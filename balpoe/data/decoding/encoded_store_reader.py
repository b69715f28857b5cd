"""Reading of encoded images by number, from the files that `encoded_store_writer` writes.

Decoding processes import this module, so it must not import torch or pyarrow.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

RECORD = struct.Struct("<QQ")  # offset and size of an entry, in bytes
HEADER = struct.Struct("<?I")  # whether the content is a path; size of the place, in bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """An encoded image, or the path of its file; `place` is the name of the image in messages."""

    place: str
    encoded: bytes | Path


class EncodedStore:
    """The index and the entries of a store, given by file descriptors."""

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
