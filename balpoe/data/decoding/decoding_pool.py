"""Batches of a stream, decoded ahead of their use by processes of their own.

The processes share the images of every batch and write each to its place, so that their number
changes nothing but the speed. They are started by name, not as forks or by multiprocessing, on
which torch's DataLoader rests: a fork of a process with Ray's and OpenMP's threads may never come
to itself, and the others run the user's script anew and import torch.

B batch, H height, W width, D channels.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from multiprocessing import Pipe

import numpy as np
import torch
from torch import Tensor

from balpoe.data.decoding.decoding_worker import Faults, WorkerTask
from balpoe.data.decoding.encoded_store_reader import EncodedStore
from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.errors import WorkerDied
from balpoe.method.long_tailed_counts import Indices

_SLOTS = 3  # one batch is used while two are decoded


@dataclass(frozen=True, eq=False, slots=True)
class DecodedBatch:
    """Pixels, uint8 [B, H, W, D], to be used before the next batch is taken; and what failed."""

    images_bhwd: Tensor
    faults: Faults


def decoded_batches(
    store: EncodedStore,
    numbers: Iterable[Indices],
    *,
    batch_size: int,
    shape: ImageShape,
    fitted: bool,
    workers: int,
) -> Generator[DecodedBatch, None, None]:
    """The images of these numbers, at most `batch_size` at a time, in this order.

    The processes end with the generator: close it where it may be left before its end.

    Raises:
        WorkerDied: A process was killed.
    """
    slot_bytes = batch_size * shape.height * shape.width * shape.channels
    with ExitStack() as stack:
        memory = _shared_memory(_SLOTS * slot_bytes)
        stack.callback(os.close, memory)
        pixels = np.frombuffer(mmap.mmap(memory, 0), dtype=np.uint8)
        slots_sbhwd = torch.from_numpy(pixels).view(
            _SLOTS, batch_size, shape.height, shape.width, shape.channels
        )
        pool = [
            stack.enter_context(closing(_Worker(store, memory, shape, fitted=fitted)))
            for _ in range(workers)
        ]
        ahead: deque[tuple[Tensor, Sequence[_Worker]]] = deque()
        for place, batch in enumerate(numbers):
            slot = place % _SLOTS
            busy = _begin(pool, slot * batch_size, batch)
            ahead.append((slots_sbhwd[slot, : len(batch)], busy))
            if len(ahead) == _SLOTS:
                yield _finished(*ahead.popleft())
        while ahead:
            yield _finished(*ahead.popleft())


def _begin(pool: Sequence[_Worker], first: int, batch: Indices) -> Sequence[_Worker]:
    """Share the images of a batch out; returns those that have some of them."""
    places = first + np.arange(len(batch))
    busy = pool[: len(batch)]
    for share, worker in enumerate(busy):
        worker.begin(places[share :: len(pool)], batch[share :: len(pool)])
    return busy


def _finished(images_bhwd: Tensor, busy: Sequence[_Worker]) -> DecodedBatch:
    faults: Faults = {}
    for worker in busy:
        faults |= worker.faults()
    return DecodedBatch(images_bhwd, faults)


class _Worker:
    """A decoding process, and the socket to it."""

    def __init__(
        self, store: EncodedStore, memory: int, shape: ImageShape, *, fitted: bool
    ) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            task = WorkerTask(
                socket=theirs.fileno(),
                memory=memory,
                index=store.index,
                entries=store.entries,
                fitted=fitted,
                **asdict(shape),
            )
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", WorkerTask.__module__, json.dumps(asdict(task))],
                stdin=subprocess.DEVNULL,
                pass_fds=(task.socket, memory, store.index, store.entries),
                env=os.environ
                | {
                    "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
                    "OMP_NUM_THREADS": "1",
                    "OPENBLAS_NUM_THREADS": "1",
                },
            )

    def begin(self, places: Indices, numbers: Indices) -> None:
        """Have these images decoded to these places, after those that were begun before."""
        try:
            self._connection.send((places, numbers))
        except ConnectionError as error:
            raise self._death() from error

    def faults(self) -> Faults:
        """Wait for the first images that were begun."""
        try:
            faults: Faults = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._death() from error
        return faults

    def close(self) -> None:
        """End it at once: nothing that it does is needed any more."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _death(self) -> Exception:
        status = self._process.wait()
        assert status < 0, f"a decoding process ended with status {status}"
        return WorkerDied(
            f"a process that decodes images was killed by signal {-status}, as the system does "
            f"where memory is short: see that there is enough, and start again; the training "
            f"continues from its last checkpoint"
        )


def _shared_memory(size: int) -> int:
    """The descriptor of a file without a name, in memory where the system has such files."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("balpoe_batches")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
