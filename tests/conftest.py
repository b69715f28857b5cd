"""Settings for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# One thread: on two cores that other tests share, the threads of an OpenMP team wait for each
# other's time slices, and small tensors train ten times slower. Children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Studies of the tests are mirrored beside their records, wherever the user keeps real ones.
_TRACKING_URI = "MLFLOW_TRACKING_URI"
os.environ.pop(_TRACKING_URI, None)

_MOST_PROCESSES = 4


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs on all cores; chosen files, and faults by the clock, one by one."""
    whole = config.args == config.getini("testpaths")
    by_the_clock = "not slow" not in config.option.markexpr
    cores = len(os.sched_getaffinity(0))
    return min(cores, _MOST_PROCESSES) if whole and not by_the_clock else 0


@pytest.fixture(autouse=True)
def _tracking_uri_is_left_unset() -> Iterator[None]:
    """A store that one test chose would receive the studies of those after it."""
    yield
    assert _TRACKING_URI not in os.environ, "use monkeypatch.setenv"
