"""Processing of images in threads, which is parallel because Pillow releases the GIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from balpoe.data.decoding.encoded_images import EncodedImages, ImageSource
from balpoe.method.long_tailed_counts import Indices

Result = TypeVar("Result")

_IMAGES_PER_TASK = 64
_TASKS_AHEAD = 4  # per thread


def map_images(
    source: ImageSource,
    rows: Indices,
    threads: int,
    function: Callable[[int, int, bytes | Path], Result],
) -> Iterator[Result]:
    """Yield `function(position, row, encoded)` for the images of these rows.

    Results come in the order in which the source yields the images, for any thread count; an error
    is raised in place of its result. Only a few results are held in memory.
    """

    def process_slice(group: EncodedImages, start: int) -> list[Result]:
        part = slice(start, start + _IMAGES_PER_TASK)
        images = zip(group.positions[part], group.rows[part], group.encoded[part], strict=True)
        return [function(int(position), int(row), encoded) for position, row, encoded in images]

    pending: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for group in source.encoded_images(rows):
            for start in range(0, len(group.rows), _IMAGES_PER_TASK):
                if len(pending) == _TASKS_AHEAD * threads:
                    yield from pending.popleft().result()
                pending.append(pool.submit(process_slice, group, start))
        while pending:
            yield from pending.popleft().result()
