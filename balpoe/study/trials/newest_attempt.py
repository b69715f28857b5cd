"""Only the newest attempt at a trial may write its files.

A worker that Ray gave up for lost may be frozen only, and wake while another already runs the
trial. So an attempt leaves its number in the trial's directory before it writes anything, and
looks before each write whether a later one has done so since.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from balpoe.atomic_write import confirming, write_text_atomically
from balpoe.study.trials.directory import TrialDirectory


class SupersededError(Exception):
    """A later attempt has taken the trial over; nobody listens to this one any more."""


def claim(directory: TrialDirectory, attempt: int) -> None:
    """Take the trial over from all earlier attempts.

    Raises:
        SupersededError: a later attempt has it.
        StorageError: the directory cannot be written.
    """
    require_newest(directory, attempt)
    write_text_atomically(directory.attempt, f"{attempt}\n")


def require_newest(directory: TrialDirectory, attempt: int) -> None:
    """Let nobody pass but the newest attempt.

    Raises:
        SupersededError: a later attempt has the trial.
    """
    if not is_newest(directory, attempt):
        raise SupersededError(f"{directory.attempt}: attempt {attempt} was taken over by a later")


@contextmanager
def newest_alone(directory: TrialDirectory, attempt: int) -> Iterator[None]:
    """A block that writes files of the trial: they appear while no later attempt has it.

    Raises:
        SupersededError: a later attempt has the trial, or took it while a file was written.
    """
    require_newest(directory, attempt)
    with confirming(lambda: require_newest(directory, attempt)):
        yield


def is_newest(directory: TrialDirectory, attempt: int) -> bool:
    """Whether no later attempt has the trial."""
    with suppress(FileNotFoundError):
        return int(directory.attempt.read_text()) <= attempt
    return True
