from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from balpoe.errors import UserError
from balpoe.study.storage.lease import hold_lease, lease_holder

HOLDER = """
import sys, time
from pathlib import Path
from balpoe.study.storage.lease import hold_lease
with hold_lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lease(tmp_path: Path) -> Path:
    (tmp_path / "digits").mkdir()
    return tmp_path / "digits" / "lease"


@pytest.fixture
def holder(lease: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease."""
    command = [sys.executable, "-c", HOLDER, str(lease)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_driver_is_told_who_holds_the_study_and_since_when(
    lease: Path, holder: subprocess.Popen[str]
) -> None:
    refusal = rf"digits: is being run by process {holder.pid} on .+ since \d{{4}}-.+; wait"
    with pytest.raises(UserError, match=refusal), hold_lease(lease):
        pass


def test_the_lease_of_a_killed_driver_is_taken_over(
    lease: Path, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert json.loads(lease.read_text())["pid"] == holder.pid
    assert lease_holder(lease) is None
    with hold_lease(lease):
        assert json.loads(lease.read_text())["pid"] == os.getpid()


def test_a_holder_on_this_host_is_known_by_host_and_run_of_the_kernel(
    lease: Path, holder: subprocess.Popen[str]
) -> None:
    found = lease_holder(lease)
    assert found is not None
    assert found.pid == holder.pid
    assert found.is_here
    elsewhere = json.loads(lease.read_text())
    for name in ("host", "boot"):
        lease.write_text(json.dumps(elsewhere | {name: "another"}))
        other = lease_holder(lease)
        assert other is not None
        assert not other.is_here


def test_to_look_who_holds_it_keeps_no_driver_from_its_study(lease: Path) -> None:
    lease.touch()
    source = (
        "import sys; from pathlib import Path\n"
        "from balpoe.study.storage.lease import lease_holder\n"
        "print('ready', flush=True)\n"
        "while True: lease_holder(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", source, str(lease)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as looking:
        assert looking.stdout is not None
        assert looking.stdout.readline() == "ready\n"
        for _ in range(50):
            with hold_lease(lease):
                pass
        looking.kill()
