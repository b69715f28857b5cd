"""How a driver leaves Ray at the end of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray


@contextmanager
def leaving_ray() -> Iterator[None]:
    """Leave Ray when the block ends, however it ends but by SIGTERM.

    To wait for Ray would then cost the time for what must still be written.
    """
    try:
        yield
    except SystemExit:
        raise
    except BaseException:
        ray.shutdown()
        raise
    ray.shutdown()
