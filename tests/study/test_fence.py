"""Attempts at a trial that were given up, and wake."""

from __future__ import annotations

from pathlib import Path

import pytest

from balpoe.study.directory import TrialDirectory
from balpoe.study.fence import SupersededError, claim, is_newest, require_newest


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
