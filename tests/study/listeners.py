"""Listeners to a study that fail."""

from __future__ import annotations

from balpoe.study.trials.events import Listener, StudyEvent, TrialStarted


def breaking_at(start: int) -> Listener:
    """A listener that fails from the start of so many trials on."""
    starts = 0

    def listen(event: StudyEvent) -> None:
        nonlocal starts
        starts += isinstance(event, TrialStarted)
        if starts >= start:
            raise BrokenPipeError

    return listen
