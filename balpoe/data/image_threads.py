"""Work on every image of a source in threads: Pillow releases the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from balpoe.data.encoded_images import EncodedImages, ImageSource
from balpoe.longtail import Indices

Result = TypeVar("Result")

_IMAGES_PER_TASK = 64


def over_images(
    source: ImageSource,
    rows: Indices,
    threads: int,
    work: Callable[[int, int, bytes | Path], Result],
) -> Iterator[Result]:
    """What `work(position, row, encoded)` makes of every image, whatever the thread count.

    Results come in the order in which the source gives the images; that of one image is an
    exception where `work` raises one. Those of the images that a source gives at once are held.
    """

    def work_on_slice(group: EncodedImages, start: int) -> list[Result]:
        here = slice(start, start + _IMAGES_PER_TASK)
        images = zip(group.positions[here], group.rows[here], group.encoded[here], strict=True)
        return [work(int(position), int(row), encoded) for position, row, encoded in images]

    with ThreadPoolExecutor(threads) as pool:
        for group in source.encoded_images(rows):
            starts = range(0, len(group.rows), _IMAGES_PER_TASK)
            for task in [pool.submit(work_on_slice, group, start) for start in starts]:
                yield from task.result()
