"""The mirror with a real MLflow server that is absent, killed, frozen, slow or broken for a time.

Submitting records never fails, and when the server is back it holds every trial once and every
epoch once.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from balpoe.config import StudySpec
from balpoe.launch.sync import sync
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.mirror_writer import MirrorWriter, start_mirror
from balpoe.tracking.mirrored_study import mirrored_study
from balpoe.tracking.run_data import Origin
from balpoe.tracking.tracking_store import TrackingStore
from tests.launch.faults_study import faults_study
from tests.launch.launched_study import assert_whole, holding, launch, recorded
from tests.tracking.faulty_proxy import FaultyProxy
from tests.tracking.tracking_server import TrackingServer, tracking_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MakeRecord = Callable[..., TrialRecord]

TRIALS, EPOCHS = 4, 12
RANDOM_OUTAGES = 20
REQUEST_SECONDS, OUTAGE_SECONDS = 2, 4.0  # so that some requests are cut off midway
DEADLINE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Service:
    """A server, and the proxy through which the mirror reaches it."""

    server: TrackingServer
    proxy: FaultyProxy

    @property
    def store(self) -> TrackingStore:
        return TrackingStore(self.proxy.uri)


Outage = Callable[[Service], AbstractContextManager[None]]


@contextmanager
def killed(service: Service) -> Iterator[None]:
    service.server.stop(signal.SIGKILL)
    yield
    service.server.start()


def cut(service: Service) -> AbstractContextManager[None]:
    return service.proxy.cut()


def broken(service: Service) -> AbstractContextManager[None]:
    return service.proxy.broken()


@contextmanager
def frozen(service: Service) -> Iterator[None]:
    service.server.send(signal.SIGSTOP)
    yield
    service.server.send(signal.SIGCONT)


@contextmanager
def slow(service: Service) -> Iterator[None]:
    """The server runs for a sixth of the time."""
    over = threading.Event()

    def stutter() -> None:
        while not over.is_set():
            service.server.send(signal.SIGSTOP)
            time.sleep(0.5)
            service.server.send(signal.SIGCONT)
            time.sleep(0.1)

    stuttering = threading.Thread(target=stutter)
    stuttering.start()
    yield
    over.set()
    stuttering.join()


OUTAGES: tuple[Outage, ...] = (killed, cut, broken, frozen, slow)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with tracking_server(tmp_path_factory.mktemp("mlflow") / "server", workers=2) as server:
        proxy = FaultyProxy(server.port)
        yield Service(server, proxy)
        proxy.close()


@pytest.fixture(autouse=True)
def short_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(REQUEST_SECONDS))


def mirror_to(service: Service, spec: StudySpec) -> MirrorWriter:
    return start_mirror(service.store, spec, Origin())


def submit_epochs(writer: MirrorWriter, make_record: MakeRecord, epochs: range) -> None:
    for epoch in epochs:
        for number in range(TRIALS):
            writer.submit(make_record(number, epoch))


def assert_nothing_is_missing_or_twice(
    writer: MirrorWriter, make_record: MakeRecord, service: Service, spec: StudySpec
) -> None:
    for number in range(TRIALS):
        writer.submit(make_record(number, EPOCHS, "COMPLETE"))
    report = writer.close("finished", deadline_seconds=DEADLINE_SECONDS)
    assert (report.missed, report.error) == (0, None)
    found = mirrored_study(service.store, spec.name)
    assert found.parents == ("FINISHED",)
    assert sorted(run.number for run in found.runs) == list(range(TRIALS))
    for run in found.runs:
        assert run.status == "FINISHED"
        assert set(run.steps.values()) == {tuple(range(1, EPOCHS + 1))}


def test_a_server_that_is_absent_at_the_start_gets_everything_later(
    service: Service, spec: StudySpec, make_record: MakeRecord
) -> None:
    with cut(service):
        writer = mirror_to(service, spec)
        submit_epochs(writer, make_record, range(1, EPOCHS))
        time.sleep(OUTAGE_SECONDS)
    assert_nothing_is_missing_or_twice(writer, make_record, service, spec)


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_server_that_fails_midway_holds_everything_once_when_it_is_back(
    outage: Outage, service: Service, spec: StudySpec, make_record: MakeRecord
) -> None:
    writer = mirror_to(service, spec)
    submit_epochs(writer, make_record, range(1, EPOCHS // 2))
    while not mirrored_study(service.store, spec.name).runs:
        time.sleep(0.1)
    with outage(service):
        submit_epochs(writer, make_record, range(EPOCHS // 2, EPOCHS))
        time.sleep(OUTAGE_SECONDS)
    assert_nothing_is_missing_or_twice(writer, make_record, service, spec)


def test_a_study_waits_for_no_server_and_random_outages_leave_every_trial_and_epoch_once(
    service: Service, tmp_path: Path, moments: random.Random
) -> None:
    trials = 60
    (tmp_path / "faults.yaml").write_text(faults_study(trials))
    environment = {"MLFLOW_TRACKING_URI": service.proxy.uri}
    with launch(tmp_path, errors_alone=True, environment=environment) as supervisor:
        with holding(tmp_path, 0):
            for _ in range(RANDOM_OUTAGES):
                time.sleep(moments.uniform(0.0, OUTAGE_SECONDS / 2))
                with moments.choice(OUTAGES)(service):
                    time.sleep(moments.uniform(0.0, OUTAGE_SECONDS))
            # all others end in spite of the outages
            deadline = time.monotonic() + DEADLINE_SECONDS
            while [record.state for record in recorded(tmp_path)].count("COMPLETE") < trials - 1:
                assert time.monotonic() < deadline
                time.sleep(1)
        _, told = supervisor.communicate(timeout=240)
    assert supervisor.returncode == 0
    if told:  # there was no time left for the queued records
        assert told.startswith("warning: MLflow lacks ")
        sync("faults", runs=tmp_path / "runs")
    assert_whole(tmp_path, trials)
    runs = mirrored_study(service.store, "faults").runs
    assert sorted(run.number for run in runs) == list(range(trials))
    for run in runs:
        assert run.status == "FINISHED"
        assert set(run.steps.values()) == {(1, 2, 3)}
