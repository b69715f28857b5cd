"""The records of trials while they run, with every epoch that they have reported."""

from __future__ import annotations

from dataclasses import replace

from balpoe.study.records.record_store import RecordStore
from balpoe.study.trials.events import EpochReported, TrialEvent, TrialStarted
from balpoe.study.trials.record import TrialRecord


class LiveRecords:
    """Follows the events of a launch; `store` reads the records of the same study.

    The files of a trial have its epochs with every checkpoint, about once a minute. Between them
    the events have the epochs.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._running: dict[tuple[int, int], TrialRecord] = {}

    def after(self, event: TrialEvent) -> TrialRecord:
        """Return the record of the event's trial after the event.

        Raises:
            CorruptFile: a file of the trial is missing, damaged or was changed.
        """
        key = (event.identity.number, event.identity.repeat)
        if isinstance(event, EpochReported):
            known = self._running[key]
            last = known.history[-1].epoch if known.history else 0
            is_next = last == event.epoch - 1
            # before the first report of an attempt its files have the epochs of its checkpoint
            earlier = known.history if is_next else self._store.history(*key)
            earlier = tuple(result for result in earlier if result.epoch < event.epoch)
            self._running[key] = replace(known, history=(*earlier, event.result))
            return self._running[key]
        record = self._store.record(*key)
        before = self._running.pop(key, None)
        if isinstance(event, TrialStarted):
            self._running[key] = replace(record, history=())
        elif before is not None and len(before.history) > len(record.history):
            # the worker of a stopped trial writes its files after this event, a dead one never
            record = replace(record, history=before.history)
        return record
