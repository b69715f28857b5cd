"""Attempts at a trial that were given up, and wake."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from balpoe.atomic_write import write_text_atomically
from balpoe.study.trials.attempt_check import (
    SupersededError,
    claim,
    is_newest,
    require_newest,
    writing_as_newest,
)
from balpoe.study.trials.directory import TrialDirectory


def test_an_attempt_is_fenced_off_by_each_later_one_and_by_no_earlier(tmp_path: Path) -> None:
    directory = TrialDirectory(tmp_path)
    assert is_newest(directory, 0)
    claim(directory, 0)
    require_newest(directory, 0)
    claim(directory, 2)
    assert [is_newest(directory, attempt) for attempt in range(4)] == [False, False, True, True]
    with pytest.raises(SupersededError):
        claim(directory, 1)
    require_newest(directory, 2)


def test_an_attempt_that_was_frozen_while_it_wrote_leaves_the_file_of_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = TrialDirectory(tmp_path)
    claim(directory, 0)

    def go_on_elsewhere(descriptor: int) -> None:
        monkeypatch.undo()
        claim(directory, 1)
        with writing_as_newest(directory, 1):
            write_text_atomically(directory.result, "the later one's")

    with writing_as_newest(directory, 0):
        monkeypatch.setattr(os, "fsync", go_on_elsewhere)
        with pytest.raises(SupersededError):
            write_text_atomically(directory.result, "the frozen one's")
    assert directory.result.read_text() == "the later one's"
    assert {path.name for path in tmp_path.iterdir()} == {"attempt", "result.json"}
    with pytest.raises(SupersededError), writing_as_newest(directory, 0):
        pytest.fail("was let in")
