"""`balpoe stop --trial` and `balpoe try` as processes, on a study that runs with real Ray."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from balpoe.errors import UserError
from balpoe.launch.runs import find_study, local_runs
from balpoe.launch.status import status
from balpoe.reporting.study_status import status_plain
from balpoe.study.records.record_store import RecordStore
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.launch_log import logged_launches
from balpoe.study.trials.record import TrialRecord
from tests.launch.faults_study import faults_study
from tests.launch.launched_study import launch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BALPOE = str(Path(sys.executable).parent / "balpoe")
S3_RUNS = "s3://studies/team"
EPOCHS, EPOCH_SECONDS = 150, 2.0  # commands begin and end while a trial runs
STUDY = faults_study(2, "resources: {concurrent_trials: 1}").replace(
    "epochs: 3", f"epochs: {EPOCHS}"
)


@pytest.fixture(params=["local", "s3"])
def runs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The directory of the studies, which is in the environment of the commands."""
    chosen = "runs"
    if request.param == "s3":
        request.getfixturevalue("bucket")
        monkeypatch.setenv("BALPOE_STORAGE", request.getfixturevalue("postgres_url"))
        chosen = S3_RUNS
    monkeypatch.setenv("BALPOE_RUNS", chosen)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faults.yaml").write_text(STUDY)
    return chosen


def balpoe(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BALPOE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )


def records(runs: str) -> tuple[TrialRecord, ...]:
    return RecordStore(*find_study("faults", local_runs(runs))).records()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(3)  # the object store is in this process


def test_a_trial_is_stopped_and_a_point_tried_while_the_study_runs(
    runs: str, tmp_path: Path
) -> None:
    git = ["git", "-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    for words in (["init"], ["add", "faults.yaml"], ["commit", "-m", "a study"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True)

    def has_begun(trial: int) -> bool:
        try:
            running = status_plain(status("faults", runs=runs))["running"]
        except UserError:  # the study has not begun
            return False
        return any(each["trial"] == trial and each["epoch"] > 0 for each in running)

    with launch(tmp_path, epoch_seconds=EPOCH_SECONDS) as supervisor:
        wait_until(lambda: has_begun(0))
        if runs == S3_RUNS:
            elsewhere = balpoe("stop", "faults", "--trial", "0", BALPOE_CACHE=str(tmp_path / "new"))
            assert elsewhere.returncode == 2
            assert "set BALPOE_CACHE as for the driver" in elsewhere.stderr
        tried = balpoe("try", "faults", "mixup.alpha=0.25", "experts.spread=0.5")
        assert (tried.returncode, tried.stderr) == (0, "")
        wrong = balpoe("stop", "faults", "--trial", "7")
        assert wrong.returncode == 2
        assert wrong.stderr == "error: faults: there is no trial 7\n"
        stopped = balpoe("stop", "faults", "--trial", "0")
        assert (stopped.returncode, stopped.stderr) == (0, "")
        assert stopped.stdout == "trial 0 ends as pruned after its running epoch\n"
        wait_until(lambda: has_begun(1))
        whole = balpoe("stop", "faults")
        assert whole.returncode == 0, whole.stderr
        assert supervisor.wait(120) == 130
    first, second = records(runs)
    assert first.state == "PRUNED"
    assert 0 < len(first.history) < EPOCHS
    assert dict(second.parameters) == {"mixup.alpha": 0.25, "experts.spread": 0.5}
    [logged] = logged_launches(StudyDirectory.of(local_runs(runs), "faults").launches)
    assert [(each.request.kind, each.answer.refused) for each in logged.requests] == [
        ("try", False),
        ("stop trial", True),
        ("stop trial", False),
    ]
    assert logged.study_commit == head.stdout.strip()

    waits = balpoe("try", "faults", "mixup.alpha=0.75", "experts.spread=0.5")
    if runs == S3_RUNS:
        assert waits.returncode == 2
        assert waits.stderr == "error: faults: is not being run; start it, then repeat this\n"
    else:
        assert waits.stdout == "no process runs the study: the next launch tries this point first\n"
    idle = balpoe("stop", "faults", "--trial", "1")
    assert idle.returncode == 2
    assert idle.stderr.startswith("error: faults: is not being run, so that no trial of it can be")
