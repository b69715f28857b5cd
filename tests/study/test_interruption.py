"""A driver that is killed or stopped, and the launch after it."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialRecord

pytestmark = pytest.mark.slow

TRIALS = 6
DRIVER = Path(__file__).with_name("slow_driver.py")


@dataclass(frozen=True)
class Launch:
    """The lines that a driver printed, and the trials as it left them."""

    lines: list[str]
    entries: tuple[TrialRecord, ...]

    def numbers(self, *states: str) -> set[int]:
        return {entry.identity.number for entry in self.entries if entry.state in states}

    def announced(self, event: str) -> list[int]:
        return [int(line.split()[1]) for line in self.lines if line.startswith(event)]


@dataclass(frozen=True)
class Story:
    """One study over three launches: Ctrl-C, then SIGKILL, then left in peace."""

    directory: StudyDirectory
    stopped: Launch
    left_gently: set[int]
    killed: Launch
    finished: Launch


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    runs = tmp_path_factory.mktemp("runs")
    directory = StudyDirectory.of(runs, "digits")
    with _driver(runs) as process:
        lines = _lines_until(process, "EpochReported")
        # a terminal sends it to the whole group, to Ray's processes too
        os.killpg(process.pid, signal.SIGINT)
        lines += _lines_until(process, "None", str(int(signal.SIGINT)))
        assert process.wait(timeout=60) == 0
    stopped = Launch(lines, _entries(directory))
    left_gently = {int(path.parts[-3]) for path in directory.path.glob("trials/*/*/left_gently")}
    with _driver(runs) as process:
        lines = _lines_until(process, "TrialEnded") + _lines_until(process, "EpochReported")
        process.kill()
    killed = Launch(lines, _entries(directory))
    with _driver(runs) as process:
        lines = _lines_until(process, "None")
        assert process.wait(timeout=60) == 0
    return Story(directory, stopped, left_gently, killed, Launch(lines, _entries(directory)))


def test_control_c_stops_every_running_trial_at_the_end_of_its_epoch(story: Story) -> None:
    assert story.stopped.lines[-1] == str(int(signal.SIGINT))
    running = story.stopped.numbers("RUNNING")
    assert running
    assert story.left_gently == running
    assert sorted(story.stopped.announced("AttemptEnded")) == sorted(running)
    assert story.stopped.numbers("FAIL", "COMPLETE") == set()


def test_a_killed_driver_leaves_ended_trials_ended_and_the_others_running(story: Story) -> None:
    assert story.killed.numbers("COMPLETE")
    assert story.killed.numbers("RUNNING")
    assert story.killed.numbers("FAIL") == set()


def test_the_next_launch_takes_up_what_was_running_before_it_proposes_anything(
    story: Story,
) -> None:
    for before, after in ((story.stopped, story.killed), (story.killed, story.finished)):
        orphans = sorted(before.numbers("RUNNING"))
        assert after.announced("TrialStarted")[: len(orphans)] == orphans


def test_nothing_is_lost_and_nothing_done_twice(story: Story) -> None:
    assert story.finished.numbers("COMPLETE") == set(range(TRIALS))
    assert len(story.finished.entries) == TRIALS
    for before, after in ((story.stopped, story.killed), (story.killed, story.finished)):
        for old, new in zip(before.entries, after.entries, strict=False):
            one, other = old.identity, new.identity
            assert (other.number, new.parameters) == (one.number, old.parameters)
            assert other.attempt == one.attempt + (old.state == "RUNNING")
            if old.state == "COMPLETE":
                assert new == old
        assert not before.numbers("COMPLETE") & set(after.announced("TrialStarted"))


def test_every_trial_got_its_own_value_and_no_proposal_came_twice(story: Story) -> None:
    alphas = [entry.parameters["mixup.alpha"] for entry in story.finished.entries]
    assert [entry.objectives for entry in story.finished.entries] == [
        {"val/accuracy": alpha} for alpha in alphas
    ]
    proposals = {tuple(sorted(entry.parameters.items())) for entry in story.finished.entries}
    assert len(proposals) == TRIALS


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


def _lines_until(process: subprocess.Popen[str], *beginnings: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(beginnings):
            return lines
    raise AssertionError(f"no line begins with {beginnings}: {lines}")


def _entries(directory: StudyDirectory) -> tuple[TrialRecord, ...]:
    specification = importlib.util.spec_from_file_location("slow_driver", DRIVER)
    assert specification is not None
    assert specification.loader is not None
    driver = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(driver)
    return Ledger(driver.spec(TRIALS), directory).records()
