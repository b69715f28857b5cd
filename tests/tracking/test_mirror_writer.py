"""The writer with sinks that record, block and raise, and with an absent server."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from balpoe.config import StudySpec
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking import mirror_writer
from balpoe.tracking.mirror_writer import MirrorWriter, start_mirror
from balpoe.tracking.run_data import Origin, Outcome
from balpoe.tracking.tracking_store import TrackingStore

MakeRecord = Callable[..., TrialRecord]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_writer, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(mirror_writer, "_PERIOD_SECONDS", 0.01)


HANG_SECONDS = 30
AT_ONCE_SECONDS = 5.0  # far below what the store makes its callers wait, on a loaded machine too


class RecordingSink:
    """Keeps all records; raises for trials in `refused`, and blocks while `gate` is closed."""

    def __init__(self) -> None:
        self.written: list[TrialRecord] = []
        self.finished: list[Outcome] = []
        self.summaries: list[int] = []  # the number of written records at each
        self.left = 0  # summaries until nothing is left to write
        self.refused: set[int] = set()
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def mirror(self, record: TrialRecord) -> None:
        self.entered.set()
        self.gate.wait(timeout=HANG_SECONDS)
        if record.identity.number in self.refused:
            raise ConnectionError("refused")
        self.written.append(record)

    def summarise(self) -> bool:
        self.summaries.append(len(self.written))
        self.left = max(0, self.left - 1)
        return self.left == 0

    def finish(self, outcome: Outcome, description: str | None = None) -> None:
        self.finished.append(outcome)


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    sink = RecordingSink()
    yield sink
    sink.gate.set()


def test_records_are_written_in_order_before_closing_returns(
    sink: RecordingSink, make_record: MakeRecord
) -> None:
    writer = MirrorWriter(lambda: sink)
    records = [make_record(number, 1) for number in range(20)]
    for record in records:
        writer.submit(record)
    report = writer.close("finished")
    assert sink.written == records
    assert sink.finished == ["finished"]
    assert (report.missed, report.error) == (0, None)


def test_the_newest_record_of_a_trial_supersedes_the_queued_one(
    sink: RecordingSink, make_record: MakeRecord
) -> None:
    sink.gate.clear()
    writer = MirrorWriter(lambda: sink)
    writer.submit(make_record(0, 1))
    assert sink.entered.wait(timeout=5)
    for epochs in (1, 2, 3):
        writer.submit(make_record(1, epochs))
    sink.gate.set()
    writer.close("finished")
    assert [(r.identity.number, len(r.history)) for r in sink.written] == [(0, 1), (1, 3)]


def test_a_record_that_arrives_while_its_trial_is_being_written_is_written_after(
    sink: RecordingSink, make_record: MakeRecord
) -> None:
    sink.gate.clear()
    writer = MirrorWriter(lambda: sink)
    writer.submit(make_record(0, 1))
    assert sink.entered.wait(timeout=5)
    writer.submit(make_record(0, 2))
    sink.gate.set()
    writer.close("finished")
    assert [len(record.history) for record in sink.written] == [1, 2]


def test_epochs_of_a_trial_wait_and_are_written_together_but_other_news_is_not_delayed(
    sink: RecordingSink, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_writer, "_PERIOD_SECONDS", 1.0)
    writer = MirrorWriter(lambda: sink)

    def written(count: int) -> list[tuple[int, int]]:
        deadline = time.monotonic() + HANG_SECONDS
        while len(sink.written) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return [(r.identity.number, len(r.history)) for r in sink.written]

    writer.submit(make_record(0, 0))
    assert written(1) == [(0, 0)]
    began = time.monotonic()
    for epochs in range(1, 51):
        writer.submit(make_record(0, epochs))
    writer.submit(make_record(1, 1))
    assert written(2) == [(0, 0), (1, 1)], "another trial is not delayed"
    assert written(3) == [(0, 0), (1, 1), (0, 50)], "50 epochs are one write"
    assert time.monotonic() - began > 0.9
    writer.submit(make_record(0, 51))
    writer.submit(make_record(0, 51, attempt=1))
    assert written(4)[-1] == (0, 51)
    assert time.monotonic() - began < 1.9, "an attempt is news"
    writer.submit(make_record(0, 52, attempt=1))
    writer.submit(make_record(0, 53, "COMPLETE", attempt=1))
    writer.submit(make_record(1, 7))
    writer.close("finished")
    assert written(6)[4:] == [(0, 53), (1, 7)]


@pytest.mark.parametrize(("seconds", "waits"), [(0.0, 0.01), (1.0, 20.0), (30.0, 60.0)])
def test_on_a_slow_store_epochs_wait_longer_but_at_most_a_minute(
    seconds: float, waits: float
) -> None:
    assert mirror_writer._period(seconds) == waits


def test_what_depends_on_all_trials_is_written_from_time_to_time_until_nothing_is_left(
    sink: RecordingSink, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_writer, "_PERIOD_SECONDS", 0.5)
    writer = MirrorWriter(lambda: sink)

    def summaries(count: int) -> list[int]:
        deadline = time.monotonic() + HANG_SECONDS
        while len(sink.summaries) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return sink.summaries

    writer.submit(make_record(0, 1))
    writer.submit(make_record(1, 1, "COMPLETE"))
    assert summaries(1) == [2], "a trial has ended"
    began = time.monotonic()
    sink.left = 2
    for number in range(2, 12):
        writer.submit(make_record(number, 1, "COMPLETE"))
    assert summaries(3) == [2, 12, 12], "ten trials are one summary, and what was left another"
    assert time.monotonic() - began > 0.9
    writer.submit(make_record(12, 1))
    time.sleep(1.1)
    writer.close("finished")
    assert sink.summaries == [2, 12, 12], "no other trial has ended"


def test_a_record_that_is_always_refused_does_not_hold_up_what_depends_on_all_trials(
    sink: RecordingSink, make_record: MakeRecord
) -> None:
    sink.refused = {0}
    writer = MirrorWriter(lambda: sink)
    writer.submit(make_record(0, 1))
    writer.submit(make_record(1, 1, "COMPLETE"))
    deadline = time.monotonic() + HANG_SECONDS
    while not sink.summaries and time.monotonic() < deadline:
        time.sleep(0.005)
    assert sink.summaries == [1]
    sink.refused = set()
    while len(sink.written) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert [record.identity.number for record in sink.written] == [1, 0]
    assert writer.close("finished").missed == 0


def test_a_refused_record_holds_up_no_other_and_is_counted_at_the_end(
    sink: RecordingSink, make_record: MakeRecord
) -> None:
    sink.refused = {0}
    writer = MirrorWriter(lambda: sink)
    for number in range(3):
        writer.submit(make_record(number, 1))
    report = writer.close("finished")
    assert [record.identity.number for record in sink.written] == [1, 2]
    assert sink.finished == ["finished"]
    assert (report.missed, report.error) == (1, "ConnectionError: refused")


def test_a_store_that_comes_back_gets_everything(
    sink: RecordingSink, make_record: MakeRecord
) -> None:
    attempts: list[float] = []

    def open_at_the_fifth_attempt() -> RecordingSink:
        attempts.append(time.monotonic())
        if len(attempts) < 5:
            raise ConnectionError("no route to host")
        return sink

    writer = MirrorWriter(open_at_the_fifth_attempt)
    writer.submit(make_record(0, 1))
    assert sink.entered.wait(timeout=5)
    report = writer.close("finished")
    assert report.missed == 0
    assert len(sink.written) == 1
    pauses = [later - earlier for earlier, later in itertools.pairwise(attempts)]
    assert pauses[-1] > 2 * pauses[0]


def test_a_hanging_store_neither_slows_the_caller_nor_outlasts_the_deadline(
    sink: RecordingSink, make_record: MakeRecord
) -> None:
    sink.gate.clear()
    writer = MirrorWriter(lambda: sink)
    start = time.monotonic()
    for number in range(100):
        writer.submit(make_record(number, 1))
    submitted = time.monotonic()
    report = writer.close("interrupted", deadline_seconds=0.2)
    assert submitted - start < AT_ONCE_SECONDS
    assert time.monotonic() - submitted < AT_ONCE_SECONDS
    assert sink.written == []  # the store still hangs
    assert report.missed == 100
    assert report.error == "the store did not answer within 0.2 s"


def test_a_server_that_is_not_there_is_reported_at_the_end_and_raises_nothing(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    absent = TrackingStore(tracking_uri="http://127.0.0.1:9")
    writer = start_mirror(absent, spec, Origin())
    start = time.monotonic()
    writer.submit(make_record(0, 1))
    assert time.monotonic() - start < AT_ONCE_SECONDS
    report = writer.close("finished", deadline_seconds=20.0)
    assert report.missed == 1
    assert report.error is not None
    assert "127.0.0.1" in report.error


def test_a_tracking_uri_of_no_known_kind_is_reported_too(
    spec: StudySpec, make_record: MakeRecord
) -> None:
    writer = start_mirror(TrackingStore(tracking_uri="carrier-pigeon://loft"), spec, Origin())
    writer.submit(make_record(0, 1))
    report = writer.close("finished", deadline_seconds=20.0)
    assert report.missed == 1
    assert report.error is not None
    assert "carrier-pigeon" in report.error
