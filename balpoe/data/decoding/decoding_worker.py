"""Worker process of an image stream: `python -m balpoe.data.decoding.decoding_worker TASK`.

It is told image numbers through a socket and writes their pixels to shared memory. It ends when
the other end of the socket is closed, by will or because that process died, so it never outlives
its trial. It imports no torch: that would take a second and 150 MiB.
"""

from __future__ import annotations

import json
import mmap
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TypeAlias

import numpy as np

from balpoe.data.decoding.encoded_store_reader import EncodedStore
from balpoe.data.decoding.image_decoding import ImageShape, decode, decode_fitted
from balpoe.errors import DataError

Faults: TypeAlias = dict[int, str]
"""Why images could not be decoded, by their numbers."""


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """What a worker is to do; files, memory and socket are inherited descriptors."""

    socket: int
    memory: int
    index: int
    entries: int
    height: int
    width: int
    channels: int
    fitted: bool


def work(task: WorkerTask) -> None:
    """Answer requests for as long as there are any.

    A request are the places in the memory and the numbers of the images, int64 [N] each; the
    answer are their `Faults`. At the place of a faulty image the memory stays as it is.
    """
    connection = Connection(task.socket)
    store = EncodedStore(task.index, task.entries)
    shape = ImageShape(task.height, task.width, task.channels)
    memory = np.frombuffer(mmap.mmap(task.memory, 0), dtype=np.uint8)
    pixels_phwd = memory.reshape(-1, shape.height, shape.width, shape.channels)
    rule = decode_fitted if task.fitted else decode
    while True:
        faults: Faults = {}
        for place, number in zip(*connection.recv(), strict=True):
            entry = store[int(number)]
            try:
                pixels_phwd[place] = rule(entry.encoded, shape, entry.place)
            except DataError as error:
                faults[int(number)] = str(error)
        connection.send(faults)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    with suppress(EOFError, ConnectionError):  # it is done, or dead
        work(WorkerTask(**json.loads(sys.argv[1])))
