"""The supervisor with drivers of a few lines of Python."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PARENT = """
import sys
from balpoe.launch.supervision import supervise
sys.exit(supervise([sys.executable, "-c", sys.argv[1]], continuation="balpoe run x.yaml"))
"""
SUPERVISED = "import os, signal, sys, time\nfrom balpoe.launch.supervision import supervised\n"
WAITING = """
print(os.getpid(), flush=True)
time.sleep(60)
"""


@contextmanager
def parent_of(driver: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PARENT, SUPERVISED + driver]
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.terminate()  # it ends its driver too


def end_of(driver: str) -> tuple[int, str]:
    with parent_of(driver) as process:
        _, output = process.communicate(timeout=30)
        return process.returncode, output


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize("status", [0, 1, 2, 70, 143])
def test_a_driver_with_a_final_message_gives_its_status(status: int) -> None:
    assert end_of(f"with supervised(): sys.exit({status})") == (status, "")


@pytest.mark.parametrize(
    ("death", "how"),
    [
        ("os._exit(1)", "ended with status 1"),
        ("os._exit(0)", "ended with status 0"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
    ],
)
def test_a_driver_that_dies_unexpectedly_is_reported_with_the_command_to_continue(
    death: str, how: str
) -> None:
    status, message = end_of(f"with supervised(): {death}")
    assert status == 70
    assert message == (
        f"error: the driver died unexpectedly ({how}); recorded results are kept, "
        f"continue with: balpoe run x.yaml\n"
    )


def test_what_a_dead_driver_had_started_is_ended_and_nothing_else() -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        child = """
import subprocess
child = subprocess.Popen(["sleep", "60"], process_group=0)
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
        with parent_of(child) as process:
            pid = int(first_line(process))
            process.communicate(timeout=30)
        wait_until_gone(pid)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_signal_reaches_the_driver_once_and_its_status_comes_back() -> None:
    driver = """
received = []
signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
with supervised():
    print("ready", flush=True)
    while not received:
        time.sleep(0.05)
    time.sleep(0.5)  # for a second one, which must not come
    sys.exit(100 + len(received))
"""
    with parent_of(driver) as process:
        assert first_line(process) == "ready"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 101


@pytest.mark.parametrize(
    ("signals", "status"), [((signal.SIGTERM,), 143), ((signal.SIGINT, signal.SIGINT), 130)]
)
def test_a_driver_that_does_not_leave_at_once_is_killed_after_two_seconds(
    signals: tuple[signal.Signals, ...], status: int
) -> None:
    driver = (
        """
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: print(number, flush=True))
"""
        + WAITING
    )
    with parent_of(driver) as process:
        pid = int(first_line(process))
        for number in signals:
            began = time.monotonic()
            process.send_signal(number)
            # equal pending signals merge: each must arrive before the next is sent
            assert first_line(process) == str(int(number))
        assert process.wait(timeout=30) == status
        assert 1.5 < time.monotonic() - began < 10
        assert not is_alive(pid)


def test_a_driver_is_told_to_leave_when_its_parent_is_killed() -> None:
    with parent_of("with supervised():\n    " + "; ".join(WAITING.split("\n")[1:-1])) as process:
        pid = int(first_line(process))
        process.kill()
        process.wait()
        wait_until_gone(pid)


def test_the_parent_loads_nothing_heavy() -> None:
    source = "import sys, balpoe.cli.main; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert not {"torch", "ray", "mlflow", "optuna", "numpy"} & set(loaded.stdout.split())


def test_a_driver_hears_of_ctrl_c_where_its_parent_was_started_deaf_to_it() -> None:
    """Jobs of Ray start with SIGINT blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with parent_of("with supervised():" + WAITING.replace("\n", "\n    ")) as process:
            first_line(process)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 128 + signal.SIGINT
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
