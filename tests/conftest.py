"""Settings for all tests."""

from __future__ import annotations

import io
import os
import random
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from tests.postgres_server import PostgresServer, postgres_binaries

if TYPE_CHECKING:
    from tests.s3_server import S3Server

# what a helper of several tests found false is shown as it is in the tests themselves
pytest.register_assert_rewrite("tests.launch", "tests.cluster", "tests.tracking")

# One thread: on two cores that other tests share, the threads of an OpenMP team wait for each
# other's time slices, and small tensors train ten times slower. Children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray would start workers that no trial uses, an actor having one of its own
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
# Hypothesis fails an example of more than 200 ms by default: a loaded machine needs longer.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
# A shell starts a background command (`&`) with SIGINT ignored, Ray a job with SIGINT blocked, and
# child processes inherit both. A handler is reset to the default action when a child process
# executes its program; this one does nothing, so that pytest itself still ignores SIGINT.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda number, frame: None)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
# Studies of the tests are mirrored beside their records, wherever the user keeps real ones.
_TRACKING_URI = "MLFLOW_TRACKING_URI"
os.environ.pop(_TRACKING_URI, None)

_MOST_PROCESSES = 4


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs on all cores; chosen files one after the other."""
    whole = config.args == config.getini("testpaths")
    cores = len(os.sched_getaffinity(0))
    return min(cores, _MOST_PROCESSES) if whole else 0


@pytest.fixture
def moments() -> random.Random:
    """Others in every run; a test that fails shows their seed."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture(autouse=True)
def _tracking_uri_is_left_unset() -> Iterator[None]:
    """A store that one test chose would receive the studies of those after it."""
    yield
    assert _TRACKING_URI not in os.environ, "use monkeypatch.setenv"


@pytest.fixture
def write_grey_images(tmp_path: Path) -> Callable[[str, Sequence[int]], Path]:
    """Write a Parquet file of noisy grey images of 8x8, so many around the level of each class."""

    def write(name: str, counts: Sequence[int]) -> Path:
        labels = np.repeat(np.arange(len(counts)), counts)
        noise = np.random.default_rng(len(labels)).normal(0, 40, (len(labels), 8, 8))
        encoded = []
        for label, image in zip(labels, noise, strict=True):
            buffer = io.BytesIO()
            pixels = np.clip(image + 80 * label + 48, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(buffer, "PNG")
            encoded.append({"bytes": buffer.getvalue(), "path": None})
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"image": encoded, "label": labels.tolist()}), path)
        return path

    return write


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real server for the tests of this process."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    # pytest's own directories are closed to other users
    with tempfile.TemporaryDirectory(prefix="balpoe-pg-") as directory:
        server = PostgresServer(Path(directory), binaries)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database of a running server, without its password: that is in PGPASSWORD."""
    monkeypatch.setenv("PGPASSWORD", postgres_server.password)
    database = postgres_server.create_database()
    yield postgres_server.url(database)
    postgres_server.drop_database(database)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real server for the tests of this process."""
    from tests.s3_server import S3Server  # which leads to a web server's libraries

    server = S3Server()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def bucket(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[S3Server]:
    """The server with an empty bucket; the environment leads to it, and to working copies."""
    from balpoe.study.object_store.remote_directory import _store

    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BALPOE_CACHE", str(tmp_path / "cache"))
    _store.cache_clear()
    s3_server.create_bucket()
    yield s3_server
    s3_server.delete_bucket()
    _store.cache_clear()
