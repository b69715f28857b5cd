"""Worker process of an image stream: `python -m balpoe.data.decoding.decoding_worker TASK`.

It receives image numbers through a socket and writes the pixels to shared memory. It exits when the
other end of the socket is closed, also if that process died. It must not import torch, which takes
a second and 150 MiB.
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
"""Messages of images that could not be decoded, by image number."""


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """The argument of a worker; `socket`, `memory`, `index` and `entries` are file descriptors."""

    socket: int
    memory: int
    index: int
    entries: int
    height: int
    width: int
    channels: int
    fitted: bool


def serve(task: WorkerTask) -> None:
    """Serve requests until the connection is closed.

    A request holds positions in the shared memory and image numbers, int64 [N] each; the response
    is `Faults`. The memory at the position of an image that cannot be decoded is not changed.

    Raises:
        EOFError, ConnectionError: The connection is closed.
    """
    connection = Connection(task.socket)
    store = EncodedStore(task.index, task.entries)
    shape = ImageShape(task.height, task.width, task.channels)
    memory = np.frombuffer(mmap.mmap(task.memory, 0), dtype=np.uint8)
    pixels_phwd = memory.reshape(-1, shape.height, shape.width, shape.channels)
    decode_image = decode_fitted if task.fitted else decode
    while True:
        faults: Faults = {}
        for position, number in zip(*connection.recv(), strict=True):
            entry = store[int(number)]
            try:
                pixels_phwd[position] = decode_image(entry.encoded, shape, entry.place)
            except DataError as error:
                faults[int(number)] = str(error)
        connection.send(faults)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C stops the training process
    with suppress(EOFError, ConnectionError):  # the training ended or died
        serve(WorkerTask(**json.loads(sys.argv[1])))
