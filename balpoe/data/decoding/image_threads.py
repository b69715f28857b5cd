"""Work on every image of a source in threads: Pillow releases the interpreter lock."""

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
_TASKS_AHEAD = 4  # for each thread


def over_images(
    source: ImageSource,
    rows: Indices,
    threads: int,
    work: Callable[[int, int, bytes | Path], Result],
) -> Iterator[Result]:
    """What `work(position, row, encoded)` makes of every image, whatever the thread count.

    Results come in the order in which the source gives the images; where `work` raises, so does
    the place of that result. Few results are held at a time.
    """

    def work_on_slice(group: EncodedImages, start: int) -> list[Result]:
        here = slice(start, start + _IMAGES_PER_TASK)
        images = zip(group.positions[here], group.rows[here], group.encoded[here], strict=True)
        return [work(int(position), int(row), encoded) for position, row, encoded in images]

    ahead: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for group in source.encoded_images(rows):
            for start in range(0, len(group.rows), _IMAGES_PER_TASK):
                if len(ahead) == _TASKS_AHEAD * threads:
                    yield from ahead.popleft().result()
                ahead.append(pool.submit(work_on_slice, group, start))
        while ahead:
            yield from ahead.popleft().result()
