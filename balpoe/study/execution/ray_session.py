"""The session of a driver with Ray."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray

OBJECT_STORE_BYTES = 100 * 2**20


@contextmanager
def connected_ray() -> Iterator[None]:
    """Use the cluster that the process is connected to, or else start Ray on this machine."""
    if ray.is_initialized():
        yield
        return
    ray.init(
        address="local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        object_store_memory=OBJECT_STORE_BYTES,
    )
    with closing_ray():
        yield


@contextmanager
def closing_ray() -> Iterator[None]:
    """Shut Ray down at the end of the block, except after SIGTERM.

    SystemExit is raised by SIGTERM, which leaves too little time to wait for Ray.
    """
    try:
        yield
    except SystemExit:
        raise
    except BaseException:
        ray.shutdown()
        raise
    ray.shutdown()
