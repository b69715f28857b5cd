"""A driver that is killed or stopped, and the launch after it."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from balpoe.study.directory import StudyDirectory
from balpoe.study.ledger import Ledger, LedgerEntry
from balpoe.study.record import TrialIdentity

TRIALS = 5
DRIVER = Path(__file__).with_name("slow_driver.py")


@pytest.fixture(scope="module")
def slow_driver() -> ModuleType:
    specification = importlib.util.spec_from_file_location("slow_driver", DRIVER)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@contextmanager
def _driver(runs: Path) -> Iterator[subprocess.Popen[str]]:
    """A driver as the leader of a process group of its own, as a shell would start it."""
    command = [sys.executable, str(DRIVER), str(runs), str(TRIALS)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _lines_until(process: subprocess.Popen[str], beginning: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(beginning):
            return lines
    raise AssertionError(f"no line begins with {beginning!r}: {lines}")


def _entries(driver: ModuleType, runs: Path) -> tuple[LedgerEntry, ...]:
    return Ledger(driver.spec(TRIALS), StudyDirectory.of(runs, "digits")).entries()


def _finish(runs: Path) -> list[str]:
    with _driver(runs) as process:
        lines = _lines_until(process, "None")
        assert process.wait(timeout=60) == 0
    return lines


def _nothing_lost_and_nothing_twice(
    before: tuple[LedgerEntry, ...], after: tuple[LedgerEntry, ...]
) -> None:
    assert [entry.state for entry in after] == ["COMPLETE"] * TRIALS
    for old, new in zip(before, after, strict=False):
        assert (new.number, new.parameters) == (old.number, old.parameters)
        assert new.attempt == old.attempt + (old.state == "RUNNING")
        if old.state == "COMPLETE":
            assert new == old
    for entry in after:
        assert entry.objectives == {"val/accuracy": entry.parameters["mixup.alpha"]}
    assert len({entry.parameters["mixup.alpha"] for entry in after}) == TRIALS


def test_after_a_killed_driver_the_next_launch_loses_and_repeats_nothing(
    slow_driver: ModuleType, tmp_path: Path
) -> None:
    with _driver(tmp_path) as process:
        _lines_until(process, "TrialEnded")
        _lines_until(process, "EpochReported")
        process.kill()
    before = _entries(slow_driver, tmp_path)
    states = [entry.state for entry in before]
    assert "COMPLETE" in states
    assert "RUNNING" in states
    lines = _finish(tmp_path)
    _nothing_lost_and_nothing_twice(before, _entries(slow_driver, tmp_path))
    begun_again = {line.split()[1] for line in lines if line.startswith("TrialStarted")}
    complete = {str(entry.number) for entry in before if entry.state == "COMPLETE"}
    assert not begun_again & complete


def test_control_c_leaves_running_trials_gently_for_the_next_launch(
    slow_driver: ModuleType, tmp_path: Path
) -> None:
    with _driver(tmp_path) as process:
        _lines_until(process, "EpochReported")
        # a terminal sends it to the whole group, to Ray's processes too
        os.killpg(process.pid, signal.SIGINT)
        lines = _lines_until(process, str(int(signal.SIGINT)))
        assert process.wait(timeout=60) == 0
    before = _entries(slow_driver, tmp_path)
    running = [entry.number for entry in before if entry.state == "RUNNING"]
    assert running
    ended = [line.split()[1] for line in lines if line.startswith("TrialEnded")]
    assert sorted(ended) == sorted(str(entry.number) for entry in before)
    directory = StudyDirectory.of(tmp_path, "digits")
    for number in running:
        trial = directory.trial(TrialIdentity("digits", number))
        assert (trial.path / "left_gently").exists()
    _finish(tmp_path)
    _nothing_lost_and_nothing_twice(before, _entries(slow_driver, tmp_path))
