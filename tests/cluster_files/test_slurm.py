"""The Slurm script, run: with real Ray, and `srun`, `scontrol` and `balpoe` played by scripts.

A process namespace of its own keeps `ray symmetric-run` from the Ray of others on this machine:
it refuses to start beside one, and ends all that it finds.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

CLUSTER = Path(__file__).parents[2] / "cluster"
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
BIN = Path(sys.executable).parent
JOB = 17

SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do echo "$1" >>"$HOME/srun"; shift; done
exec "$@"
"""
SCONTROL = '#!/usr/bin/env bash\necho "$@" >>"$HOME/scontrol"\n'
# `run` works until it is asked to stop, as a study does (how, is for the tests of the command), or
# beyond that, as in an epoch that takes hours
BALPOE = f"""#!{sys.executable}
import os, pathlib, signal, stat, subprocess, sys, time
home = pathlib.Path(os.environ["HOME"])
if sys.argv[1] == "stop":
    (home / "stopped").write_text(sys.argv[2])
    os.kill(int((home / "driver").read_text()), signal.SIGINT)
    if (home / "busy").exists():
        time.sleep(3600)
    sys.exit()
import ray
ray.init(address=sys.argv[-1], log_to_driver=False)
token = pathlib.Path(os.environ["RAY_AUTH_TOKEN_PATH"])
print("mode", oct(stat.S_IMODE(token.stat().st_mode)), "characters", len(token.read_text()))
print("resources", ray.cluster_resources()["CPU"], ray.cluster_resources()["GPU"])
stranger = {{key: value for key, value in os.environ.items() if "AUTH" not in key}}
refused = subprocess.run(
    ["ray", "status", "--address", sys.argv[-1]], env=stranger, capture_output=True, text=True
)
print("a stranger:", refused.returncode != 0 and "UNAUTHENTICATED" in refused.stderr.upper())
study = pathlib.Path(sys.argv[2]).read_text()
if "--until-stopped" not in study:
    sys.exit(0)
if "--long-epoch" in study:
    (home / "busy").touch()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
else:
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
(home / "driver").write_text(str(os.getpid()))
while True:
    time.sleep(0.1)
"""


def _namespaces_are_allowed() -> bool:
    if shutil.which(NAMESPACE[0]) is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not _namespaces_are_allowed(), reason="needs the right to make a process namespace"
    ),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Allocation:
    """One node that Slurm assigned to a job of a user with this home directory."""

    home: Path

    @contextmanager
    def submit(
        self, *, comment: str = "", notice_seconds: int = 300
    ) -> Iterator[subprocess.Popen[str]]:
        """`sbatch` of a study, which ends with the block at the latest."""
        study = self.home / "study.yaml"
        study.write_text(f"data:\n  name: cifar100_lt\nname: 'tail'  # {comment}\n")
        script = (CLUSTER / "slurm" / "balpoe.sbatch").read_text()
        for old, new in {"port=6379": f"port={free_port()}", "@300": f"@{notice_seconds}"}.items():
            assert script.count(old) == 1
            script = script.replace(old, new)
        spooled = self.home / "slurm_script"
        spooled.write_text(script)
        with subprocess.Popen(
            [*NAMESPACE, "bash", str(spooled), str(study)],
            env={
                "HOME": str(self.home),
                "PATH": f"{self.home / 'balpoe-env/bin'}:{os.environ['PATH']}",
                "RAY_TMPDIR": str(self.home / "r"),
                "SLURM_SUBMIT_DIR": str(CLUSTER.parent),
                "SLURM_JOB_ID": str(JOB),
                "SLURM_JOB_NUM_NODES": "1",
                "SLURM_CPUS_PER_TASK": "3",
                "SLURM_GPUS_ON_NODE": "2",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as job:
            try:
                yield job
            finally:
                job.kill()

    def end_soon(self, job: subprocess.Popen[str]) -> None:
        """Send Slurm's signal to the script when the study runs."""
        driver = self.home / "driver"
        deadline = time.monotonic() + 120
        while not driver.exists() and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        assert driver.exists(), job.communicate(timeout=10)
        (script,) = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
        os.kill(int(script), signal.SIGUSR1)

    @property
    def token(self) -> Path:
        return self.home / ".balpoe" / f"token-{JOB}"


@pytest.fixture
def allocation() -> Iterator[Allocation]:
    """A node whose home has a short path, since Ray's sockets are in it."""
    with tempfile.TemporaryDirectory(prefix="slurm", dir="/tmp") as directory:
        home = Path(directory)
        programs = home / "balpoe-env" / "bin"
        programs.mkdir(parents=True)
        for name, text in {"srun": SRUN, "scontrol": SCONTROL, "balpoe": BALPOE}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        (programs / "ray").symlink_to(BIN / "ray")
        yield Allocation(home)


def test_the_study_runs_on_a_ray_with_a_token_of_its_own(allocation: Allocation) -> None:
    with allocation.submit() as job:
        output, _ = job.communicate(timeout=200)
    assert job.returncode == 0, output
    assert "mode 0o600 characters 64" in output
    assert "resources 3.0 2.0" in output
    assert "a stranger: True" in output
    assert "--cpus-per-task=3" in (allocation.home / "srun").read_text().split()
    assert not allocation.token.exists()
    assert not (allocation.home / "scontrol").exists()


def test_before_the_end_of_its_time_the_study_stops_and_is_queued_again(
    allocation: Allocation,
) -> None:
    with allocation.submit(comment="--until-stopped") as job:
        allocation.end_soon(job)
        output, _ = job.communicate(timeout=120)
    assert job.returncode == 130, output
    assert (allocation.home / "stopped").read_text() == "tail"
    assert (allocation.home / "scontrol").read_text() == f"requeue {JOB}\n"
    assert not allocation.token.exists()


def test_a_study_that_does_not_stop_in_time_is_queued_again_before_slurm_kills_it(
    allocation: Allocation,
) -> None:
    with allocation.submit(comment="--until-stopped --long-epoch", notice_seconds=62) as job:
        allocation.end_soon(job)
        queued = allocation.home / "scontrol"
        deadline = time.monotonic() + 30
        while not queued.exists() and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        still_runs = job.poll() is None
        job.kill()  # as Slurm does to requeued jobs, and at the end of the time
        output, _ = job.communicate(timeout=60)
    assert still_runs, output
    assert (allocation.home / "stopped").read_text() == "tail"
    assert queued.read_text() == f"requeue {JOB}\n"
