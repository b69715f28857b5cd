"""The lanes of the timeline of a study: attempts at trials on the same host do not overlap."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from balpoe.study.trials.record import Attempt, TrialRecord


@dataclass(frozen=True, slots=True)
class Span:
    """An attempt at a trial from `start` to `end` (Unix seconds) in a lane from 0.

    `place` is the host with its GPUs, empty where it was not recorded.
    """

    start: float
    end: float
    record: TrialRecord
    place: str
    lane: int


def spans_in_lanes(records: Sequence[TrialRecord]) -> list[Span]:
    """Return all attempts, in as few lanes as each place needs; the lanes of a place are adjacent.

    A trial whose attempts were not recorded has one span from its start to its end.
    """
    by_place: dict[str, list[tuple[float, float, TrialRecord]]] = defaultdict(list)
    for record in records:
        for place, start, end in _attempts(record):
            by_place[place].append((start, end, record))
    spans: list[Span] = []
    lanes = 0
    for place in sorted(by_place):
        free: list[tuple[float, int]] = []
        for start, end, record in sorted(by_place[place], key=_order):
            if free and free[0][0] <= start:
                _, lane = heapq.heappop(free)
            else:
                lane, lanes = lanes, lanes + 1
            heapq.heappush(free, (end, lane))
            spans.append(Span(start, end, record, place, lane))
    return spans


def _order(span: tuple[float, float, TrialRecord]) -> tuple[float, int, int]:
    start, _, record = span
    return start, record.identity.number, record.identity.repeat


def _attempts(record: TrialRecord) -> Iterator[tuple[str, float, float]]:
    """Yield the place, start and end of every attempt that lasted.

    An attempt that another one followed ends with its last epoch.
    """
    end = _end(record)
    if not record.attempts and end:
        yield "", record.started, end
    starts = [attempt.started for attempt in record.attempts]
    for n, attempt in enumerate(record.attempts):
        if n + 1 < len(starts):
            epochs = (result.unix_time for result in record.history)
            ended = max((time for time in epochs if time < starts[n + 1]), default=0.0)
        else:
            ended = end
        if ended > attempt.started:
            yield _place(attempt), attempt.started, ended


def _place(attempt: Attempt) -> str:
    return f"{attempt.host} GPU {', '.join(attempt.gpus)}" if attempt.gpus else attempt.host


def _end(record: TrialRecord) -> float:
    """Return the end of a trial, or its last epoch; 0 if it has neither."""
    if record.ended is not None:
        return record.ended
    return record.history[-1].unix_time if record.history else 0.0
