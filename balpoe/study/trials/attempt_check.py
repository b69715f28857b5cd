"""The attempt check: only the newest attempt at a trial writes its files.

A worker that Ray considers lost may only be frozen, and wake while another one runs the trial. So
an attempt writes its number to the trial's directory before any other file, and checks before each
write that no later attempt has begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from balpoe.atomic_write import confirming, write_text_atomically
from balpoe.study.trials.directory import TrialDirectory


class SupersededError(Exception):
    """A later attempt at the trial has begun; results of this one are ignored."""


def claim(directory: TrialDirectory, attempt: int) -> None:
    """Make `attempt` the newest one.

    Raises:
        SupersededError: a later attempt has begun.
        StorageError: the directory cannot be written.
    """
    require_newest(directory, attempt)
    write_text_atomically(directory.attempt, f"{attempt}\n")


def require_newest(directory: TrialDirectory, attempt: int) -> None:
    """Raise unless `attempt` is the newest one.

    Raises:
        SupersededError: a later attempt has begun.
    """
    if not is_newest(directory, attempt):
        raise SupersededError(
            f"{directory.attempt}: attempt {attempt} was superseded by a later one"
        )


@contextmanager
def writing_as_newest(directory: TrialDirectory, attempt: int) -> Iterator[None]:
    """Enter a block whose files take their names only while `attempt` is the newest one.

    Raises:
        SupersededError: a later attempt has begun, also if it began while a file was written.
    """
    require_newest(directory, attempt)
    with confirming(lambda: require_newest(directory, attempt)):
        yield


def is_newest(directory: TrialDirectory, attempt: int) -> bool:
    """Return whether no later attempt has begun."""
    with suppress(FileNotFoundError):
        return int(directory.attempt.read_text()) <= attempt
    return True
