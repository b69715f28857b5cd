from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.ray_nodes import RayCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A head without CPUs; the tests of a module add nodes."""
    directory = Path(tempfile.mkdtemp(prefix="bc", dir="/tmp"))
    started = RayCluster(directory)
    try:
        yield started
    finally:
        started.end()
        shutil.rmtree(directory, ignore_errors=True)
