from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.ray_nodes import RayCluster, ray_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A head without CPUs; the tests of a module add nodes."""
    with ray_cluster() as started:
        yield started
