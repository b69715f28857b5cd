"""Clusters that cannot run a study, and the messages about them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.other_code import other_code
from tests.cluster.ray_nodes import RayCluster, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BALPOE = str(Path(sys.executable).parent / "balpoe")
GOOD, OTHER_CODE, WITHOUT_STORAGE, WITH_GPUS = (f"(127.0.0.{n})" for n in (2, 3, 4, 5))


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="bc", dir="/tmp"))
    (directory / "shared/data/train").mkdir(parents=True)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def mixed(cluster: RayCluster, directory: Path) -> RayCluster:
    """A sound node, then one each: other code, no shared storage, another host with odd GPUs."""
    cluster.start_node()
    cluster.start_node(PYTHONPATH=str(other_code(directory)))
    cluster.start_node(hidden=directory / "shared")
    cluster.start_node(cpus=2, gpus=2, hostname="elsewhere")
    cluster.await_nodes()
    return cluster


def run(
    directory: Path, address: str, environment: dict[str, str], resources: str = ""
) -> subprocess.CompletedProcess[str]:
    study = directory / "shared/study.yaml"
    study.write_text(f"""
name: unfit
data: {{name: folder, root: data}}
model: {{backbone: resnet8}}
search:
  mixup.alpha: {{type: float, low: 0.0, high: 1.0}}
objectives: {{val/accuracy: maximize}}
budget: {{trials: 1}}
resources: {{{resources}}}
""")
    return subprocess.run(
        [BALPOE, "run", "study.yaml", "--address", address],
        cwd=directory / "shared",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_faults_of_all_nodes_are_told_at_once_by_name(
    mixed: RayCluster, directory: Path
) -> None:
    refused = run(directory, mixed.address, mixed.environment)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: the cluster cannot run this yet:\n")
    told = refused.stderr.splitlines()[1:]
    assert not [line for line in told if GOOD in line or WITH_GPUS in line]
    [code] = [line for line in told if OTHER_CODE in line]
    assert "balpoe's code is" in code
    assert "install the driver's version there" in code
    storage, data = [line for line in told if WITHOUT_STORAGE in line]
    assert "shared/runs/unfit: cannot be written there: No such file or directory" in storage
    assert "must be on storage that all nodes share" in storage
    assert "shared/data: No such file or directory; copy the data there" in data
    assert len(told) == 3
    runs = directory / "shared/runs/unfit"
    assert {path.name for path in runs.iterdir()} == {"lease", "study.yaml"}


def test_gpus_that_only_ray_counts_are_refused(mixed: RayCluster, directory: Path) -> None:
    refused = run(directory, mixed.address, mixed.environment, "gpus_per_trial: 1")
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()[1:]
    assert f"{WITH_GPUS}: Ray counts 2 GPUs there, but torch sees 0; install the driver" in line


def test_a_trial_must_fit_one_node(mixed: RayCluster, directory: Path) -> None:
    refused = run(directory, mixed.address, mixed.environment, "cpus_per_trial: 3")
    assert refused.returncode == 2
    assert "no node has 3 CPUs and 0 GPUs, as one training asks" in refused.stderr


def test_sqlite_is_refused_where_trials_would_run_on_another_host(
    mixed: RayCluster, directory: Path
) -> None:
    refused = run(directory, mixed.address, mixed.environment, "cpus_per_trial: 2")
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert "has its trials in SQLite, which one host can use, and would run on elsewhere" in line
    assert "--storage postgresql://" in line


@pytest.mark.parametrize(
    ("token", "told"),
    [("wrong\n", "does not accept this process's token"), (None, "there is no token here")],
)
def test_a_token_that_is_not_accepted_is_named_as_the_cause_within_seconds(
    cluster: RayCluster, directory: Path, token: str | None, told: str
) -> None:
    file = directory / "other_token"
    file.unlink(missing_ok=True)
    if token is not None:
        file.write_text(token)
    began = time.monotonic()
    environment = {**cluster.environment, "RAY_AUTH_TOKEN_PATH": str(file)}
    refused = run(directory, cluster.address, environment)
    assert refused.returncode == 2
    assert f"error: --address {cluster.address}: " in refused.stderr
    assert told in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    # not the minutes that Ray waits; on a loaded machine the command itself starts in 40 s
    assert time.monotonic() - began < 120


def test_a_dead_address_is_told_in_one_line(directory: Path, cluster: RayCluster) -> None:
    [port] = free_ports(1)
    refused = run(directory, f"127.0.0.1:{port}", cluster.environment)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"error: --address 127.0.0.1:{port}: nothing listens there; start the")
