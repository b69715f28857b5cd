"""Mirroring in a background thread of the driver, independent of the trials.

A slow, unreachable or broken store does not delay the caller. Records wait in memory, one per
trial (the newest), until the store accepts them; those it never accepted are counted at the end.
New epochs of a running trial wait for a few seconds, so that they are written together, and so does
what depends on all trials.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from balpoe.config import StudySpec
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.run_data import Origin, Outcome
from balpoe.tracking.study_runs import Key
from balpoe.tracking.tracking_store import TrackingStore, import_mlflow

_PERIOD_SECONDS = 5.0
"""The time between two writes of new epochs of the same trial, where the store is fast.

Also that between two writes of what depends on all trials.
"""
_LONGEST_PERIOD_SECONDS = 60.0
_REST_PER_WRITE = 20.0
"""The thread shares the interpreter with Ray Tune: writing takes at most 1/20 of its time."""
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_ATTEMPTS_WHEN_CLOSING = 3


class Sink(Protocol):
    """The destination of records: `balpoe.tracking.mirror.Mirror`."""

    def mirror(self, record: TrialRecord) -> None:
        """Update one trial; the call can be repeated."""

    def summarise(self) -> bool:
        """Update what depends on all trials; return whether nothing is left for another call."""

    def finish(self, outcome: Outcome, description: str | None = None) -> None:
        """End the study's run; the call can be repeated."""


@dataclass(frozen=True, slots=True)
class MirrorReport:
    """The result of mirroring.

    `missed` counts the trials whose last record the store does not hold. `error` is the last
    reason why something is missing, or None if everything is written.
    """

    missed: int
    error: str | None


@dataclass(frozen=True, slots=True)
class _Written:
    """The last written record of a trial that runs, and when its next epochs are written."""

    record: TrialRecord
    next_epochs: float  # of time.monotonic()


class _Summary:
    """The task to write what depends on all trials."""


@dataclass(frozen=True, slots=True)
class _Closing:
    outcome: Outcome
    description: str | None
    deadline: float  # of time.monotonic()


def start_mirror(
    store: TrackingStore,
    spec: StudySpec,
    origin: Origin,
    description: str = "",
    class_counts: Callable[[TrialRecord], Mapping[str, int] | None] = lambda record: None,
) -> MirrorWriter:
    """Start mirroring a study; the thread imports MLflow and opens the store.

    Two threads that import the same modules at once may see them partially initialised: call
    this after the caller's own imports.
    """

    def open_mirror() -> Sink:
        import_mlflow()
        from balpoe.tracking.mirror import Mirror

        return Mirror(store, spec, origin, description, class_counts)

    return MirrorWriter(open_mirror)


class MirrorWriter:
    """Writes records to a sink in a background thread, in order of arrival.

    While the store fails, the pauses between attempts grow to half a minute. A record that was
    refused is queued last, so that it does not block the others.
    """

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open_sink = open_sink
        self._sink: Sink | None = None
        self._changed = threading.Condition()
        self._pending: dict[Key, TrialRecord] = {}
        self._due: dict[Key, float] = {}  # of what is pending; monotonic time
        self._written: dict[Key, _Written] = {}  # of trials that run
        self._refused: set[Key] = set()  # of what is pending
        self._next_summary = 0.0  # monotonic time
        self._is_summary_due = False  # at that time: a trial has ended
        self._failures = 0  # in a row; reset when closing begins
        self._error: str | None = None
        self._closing: _Closing | None = None
        self._finished = False
        # A daemon, since a store that hangs must not keep the process alive after `close`.
        self._thread = threading.Thread(target=self._run, name="mlflow-mirror", daemon=True)
        self._thread.start()

    def submit(self, record: TrialRecord) -> None:
        """Queue `record` in place of an older record of the same trial; return at once."""
        key = _key(record)
        with self._changed:
            due = self._due_time(key, record)
            is_earlier = due < self._due.get(key, math.inf)
            self._pending[key] = record
            if is_earlier:  # each time the thread wakes, Ray Tune waits for the interpreter
                self._due[key] = due
                self._changed.notify()

    def close(
        self, outcome: Outcome, *, description: str | None = None, deadline_seconds: float = 30.0
    ) -> MirrorReport:
        """Write pending records and end the study's run, for at most `deadline_seconds`."""
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
            if self._is_given_up():
                return
        sink = self._sink
        assert sink is not None
        while (task := self._next()) is not None:
            began = time.monotonic()
            if isinstance(task, TrialRecord):
                is_written = self._attempt(functools.partial(sink.mirror, task))
                self._settle(task, is_written, time.monotonic() - began)
            else:
                self._attempt(self._summarise)
                self._next_summary = time.monotonic() + _period(time.monotonic() - began)
        closing = self._closing
        assert closing is not None
        while not self._finished:
            self._finished = self._attempt(
                lambda: sink.finish(closing.outcome, closing.description)
            )
            if self._is_given_up():
                return

    def _summarise(self) -> None:
        assert self._sink is not None
        self._is_summary_due = not self._sink.summarise()

    def _open(self) -> None:
        self._sink = self._open_sink()

    def _next(self) -> TrialRecord | _Summary | None:
        """Wait for the oldest pending record that is due, else a summary; None at the end.

        A summary goes before refused records, as some may never be accepted. Closing ends with a
        summary of its own.
        """
        with self._changed:
            while self._closing is None:
                now = time.monotonic()
                has_summary = self._is_summary_due and self._next_summary <= now
                for key, record in self._pending.items():
                    if self._due[key] <= now and not (has_summary and key in self._refused):
                        return record
                if has_summary:
                    return _Summary()
                first = min((self._due[key] for key in self._pending), default=math.inf)
                if self._is_summary_due:
                    first = min(first, self._next_summary)
                self._changed.wait(None if first == math.inf else first - now)
            if not self._pending or self._is_given_up():
                return None
            return next(iter(self._pending.values()))

    def _settle(self, record: TrialRecord, is_written: bool, seconds: float) -> None:
        """Remove a written record; queue it last if it was refused or is outdated.

        `seconds` is the time that the attempt to write it took.
        """
        key = _key(record)
        with self._changed:
            newest = self._pending.pop(key)
            del self._due[key]
            if is_written and record.state == "RUNNING":
                period = _period(seconds * max(1, len(self._written)))
                self._written[key] = _Written(record, time.monotonic() + period)
            elif is_written:
                self._written.pop(key, None)
                self._is_summary_due = True
            if is_written:
                self._refused.discard(key)
            else:
                self._refused.add(key)
            if not is_written or newest is not record:
                self._pending[key], self._due[key] = newest, self._due_time(key, newest)

    def _due_time(self, key: Key, record: TrialRecord) -> float:
        """Return when a record is written: epochs of a running trial later, all other news now."""
        written = self._written.get(key)
        if written is None or not _is_alike(record, written.record):
            return 0.0
        return written.next_epochs

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Return whether `action` succeeded; after a failure, pause first."""
        try:
            action()
        except Exception as error:  # no exception of a store may end the thread
            with self._changed:
                self._failures += 1
                self._error = f"{type(error).__name__}: {error}"
                self._pause()
            return False
        self._failures = 0
        return True

    def _pause(self) -> None:
        """Wait, longer with every failure in a row, until closing begins at the latest."""
        if self._is_given_up():
            return
        seconds = min(_FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1), _LONGEST_PAUSE_SECONDS)
        closing = self._closing
        if closing is not None:
            seconds = min(seconds, max(0.0, closing.deadline - time.monotonic()))
        self._changed.wait_for(lambda: self._closing is not closing, timeout=seconds)

    def _is_given_up(self) -> bool:
        """Whether closing has begun, and its deadline or number of attempts is reached."""
        if self._closing is None:
            return False
        is_late = time.monotonic() >= self._closing.deadline
        return is_late or self._failures >= _ATTEMPTS_WHEN_CLOSING


def _period(seconds: float) -> float:
    """Return the time until a write that took `seconds` is repeated."""
    return min(max(_REST_PER_WRITE * seconds, _PERIOD_SECONDS), _LONGEST_PERIOD_SECONDS)


def _is_alike(record: TrialRecord, other: TrialRecord) -> bool:
    """Return whether two records of a repeat differ in their histories at most."""
    return replace(record, history=()) == replace(other, history=())


def _key(record: TrialRecord) -> Key:
    return record.identity.number, record.identity.repeat
