"""Decoding of the batches of a stream by worker processes, ahead of their use.

The workers divide the images of each batch and write each image to its position in shared memory,
so the number of workers affects only the speed.

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

_SLOTS = 3  # two batches are decoded while one is used


@dataclass(frozen=True, eq=False, slots=True)
class DecodedBatch:
    """Pixels, uint8 [B, H, W, D], valid until the next batch is taken, and the decoding errors."""

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
    """Decode batches of image numbers, each of at most `batch_size` images, in this order.

    The workers end with the generator: close it if it may not be exhausted.

    Raises:
        WorkerDied: A worker was killed.
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
        pending: deque[tuple[Tensor, Sequence[_Worker]]] = deque()
        for index, batch in enumerate(numbers):
            slot = index % _SLOTS
            busy = _send_batch(pool, slot * batch_size, batch)
            pending.append((slots_sbhwd[slot, : len(batch)], busy))
            if len(pending) == _SLOTS:
                yield _receive_batch(*pending.popleft())
        while pending:
            yield _receive_batch(*pending.popleft())


def _send_batch(pool: Sequence[_Worker], first: int, batch: Indices) -> Sequence[_Worker]:
    """Divide the images of a batch among the workers; return the workers that decode some."""
    positions = first + np.arange(len(batch))
    busy = pool[: len(batch)]
    for share, worker in enumerate(busy):
        worker.send(positions[share :: len(pool)], batch[share :: len(pool)])
    return busy


def _receive_batch(images_bhwd: Tensor, busy: Sequence[_Worker]) -> DecodedBatch:
    faults: Faults = {}
    for worker in busy:
        faults |= worker.receive()
    return DecodedBatch(images_bhwd, faults)


class _Worker:
    """A decoding process and the connection to it."""

    def __init__(
        self, store: EncodedStore, memory: int, shape: ImageShape, *, fitted: bool
    ) -> None:
        self._connection, worker_end = Pipe()
        with worker_end:
            task = WorkerTask(
                socket=worker_end.fileno(),
                memory=memory,
                index=store.index,
                entries=store.entries,
                fitted=fitted,
                **asdict(shape),
            )
            # No fork: it can deadlock with the threads of Ray and OpenMP. No multiprocessing: its
            # other start methods run the user's script again and import torch.
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

    def send(self, positions: Indices, numbers: Indices) -> None:
        """Request the decoding of these images to these positions."""
        try:
            self._connection.send((positions, numbers))
        except ConnectionError as error:
            raise self._death_error() from error

    def receive(self) -> Faults:
        """Wait for the oldest request, and return its decoding errors."""
        try:
            faults: Faults = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._death_error() from error
        return faults

    def close(self) -> None:
        """Kill the process: no further result is needed."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _death_error(self) -> Exception:
        status = self._process.wait()
        assert status < 0, f"a decoding process exited with status {status}"
        return WorkerDied(
            f"an image decoding process was killed by signal {-status}, probably because the "
            f"system ran out of memory: free or add memory and start again; the training continues "
            f"from its last checkpoint"
        )


def _shared_memory(size: int) -> int:
    """Return the descriptor of an unnamed file, in memory if the system supports it."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("balpoe_batches")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
