"""Mirroring off the trials' path: a thread of the driver that writes what it is handed.

A store that is slow, down or broken costs the caller nothing. Records wait in memory (one
per trial, the newest) until the store takes them; what it never took is counted at the end.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from balpoe.config import StudySpec
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.run import Origin, Outcome
from balpoe.tracking.tracking_store import TrackingStore

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_ATTEMPTS_WHEN_CLOSING = 3


class Sink(Protocol):
    """What records are written to: `balpoe.tracking.mirror.Mirror`, opened in the thread."""

    def mirror(self, record: TrialRecord) -> None:
        """Bring one trial up to date; may be repeated."""

    def finish(self, outcome: Outcome, description: str | None = None) -> None:
        """End the study's run."""


@dataclass(frozen=True, slots=True)
class MirrorReport:
    """How the mirroring ended.

    `missed` counts the trials whose last record the store does not hold; `error` is the last
    reason why something is missing, None where all was written.
    """

    missed: int
    error: str | None


@dataclass(frozen=True, slots=True)
class _Closing:
    outcome: Outcome
    description: str | None
    deadline: float  # of time.monotonic()


def start_mirror(
    store: TrackingStore, spec: StudySpec, origin: Origin, description: str = ""
) -> MirrorWriter:
    """Start mirroring a study; MLflow is imported and the store opened in the thread.

    Two threads that import the same modules at once may see them half-made: call this when
    the caller has imported what it needs.
    """

    def open_mirror() -> Sink:
        from balpoe.tracking.mirror import Mirror

        return Mirror(store, spec, origin, description)

    return MirrorWriter(open_mirror)


class MirrorWriter:
    """Hands records to a sink in a thread of its own, in order of arrival.

    While the store refuses, the pauses between attempts grow to half a minute. A record that
    was refused goes behind the others, so that a bad one holds up none.
    """

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open_sink = open_sink
        self._sink: Sink | None = None
        self._changed = threading.Condition()
        self._pending: dict[tuple[int, int], TrialRecord] = {}
        self._failures = 0  # in a row; counted anew when closing begins
        self._error: str | None = None
        self._closing: _Closing | None = None
        self._finished = False
        # A daemon: a store that hangs must not keep the process alive past `close`.
        self._thread = threading.Thread(target=self._run, name="mlflow-mirror", daemon=True)
        self._thread.start()

    def submit(self, record: TrialRecord) -> None:
        """Queue `record`, in place of an older record of the same trial; returns at once."""
        with self._changed:
            self._pending[_key(record)] = record
            self._changed.notify()

    def close(
        self, outcome: Outcome, *, description: str | None = None, deadline_seconds: float = 30.0
    ) -> MirrorReport:
        """Write what is pending, end the study's run and stop, at the deadline at the latest."""
        with self._changed:
            deadline = time.monotonic() + deadline_seconds
            self._closing = _Closing(outcome, description, deadline)
            self._failures = 0
            self._changed.notify()
        self._thread.join(deadline_seconds)
        with self._changed:
            complete = self._finished and not self._pending
            reason = self._error or f"the store did not answer within {deadline_seconds:g} s"
            return MirrorReport(len(self._pending), None if complete else reason)

    def _run(self) -> None:
        while not self._attempt(self._open):
            if self._hopeless():
                return
        while (record := self._next()) is not None:
            written = self._attempt(functools.partial(self._opened.mirror, record))
            self._settle(record, written)
        self._finish()

    def _open(self) -> None:
        self._sink = self._open_sink()

    @property
    def _opened(self) -> Sink:
        assert self._sink is not None
        return self._sink

    def _next(self) -> TrialRecord | None:
        """The oldest pending record, as soon as there is one; None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closing)
            if not self._pending or self._hopeless():
                return None
            return next(iter(self._pending.values()))

    def _settle(self, record: TrialRecord, written: bool) -> None:
        """Strike a written record off; what was refused, or is newer by now, goes last."""
        with self._changed:
            newest = self._pending.pop(_key(record))
            if not written or newest is not record:
                self._pending[_key(record)] = newest

    def _finish(self) -> None:
        assert self._closing is not None
        outcome, description = self._closing.outcome, self._closing.description
        while not self._finished:
            self._finished = self._attempt(lambda: self._opened.finish(outcome, description))
            if self._hopeless():
                return

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Whether `action` went through; after a failure, pause before the next attempt."""
        try:
            action()
        except Exception as error:  # whatever a store raises must not end the thread
            with self._changed:
                self._failures += 1
                self._error = f"{type(error).__name__}: {error}"
                self._pause()
            return False
        self._failures = 0
        return True

    def _pause(self) -> None:
        """Wait longer with every failure in a row; the beginning of closing cuts it short."""
        if self._hopeless():
            return
        seconds = min(_FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1), _LONGEST_PAUSE_SECONDS)
        closing = self._closing
        if closing is not None:
            seconds = min(seconds, max(0.0, closing.deadline - time.monotonic()))
        self._changed.wait_for(lambda: self._closing is not closing, timeout=seconds)

    def _hopeless(self) -> bool:
        """Whether closing has begun and further attempts would not help or come too late."""
        if self._closing is None:
            return False
        too_late = time.monotonic() >= self._closing.deadline
        return too_late or self._failures >= _ATTEMPTS_WHEN_CLOSING


def _key(record: TrialRecord) -> tuple[int, int]:
    return record.identity.number, record.identity.repeat
