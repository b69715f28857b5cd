"""`balpoe stop --trial` and `balpoe try`: what is refused before any driver is asked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner

from balpoe.cli.stop import stop
from balpoe.cli.try_point import try_point as try_command
from balpoe.config import StudySpec
from balpoe.errors import UserError
from balpoe.launch.steer import parsed_point, stop_trial, try_point
from balpoe.study.storage.lease import hold_lease
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.requests import PendingRequest, Request, pending_requests


class TinyStudy(Protocol):
    runs: Path
    spec: StudySpec
    directory: StudyDirectory


@pytest.mark.parametrize(
    ("assignments", "point"),
    [
        (["mixup.alpha=0.25"], {"mixup.alpha": 0.25}),
        (
            ["experts.count=2", "experts.sharing=independent"],
            {"experts.count": 2, "experts.sharing": "independent"},
        ),
        (["training.learning_rate=1"], {"training.learning_rate": 1}),
    ],
)
def test_values_are_read_by_their_type(
    tiny_study: TinyStudy, assignments: list[str], point: dict[str, object]
) -> None:
    assert parsed_point(tiny_study.spec, assignments) == point


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["mixup.alpha"], "mixup.alpha: must be KEY=VALUE"),
        (["mixup.alfa=1"], r"mixup\.alfa=1: mixup\.alfa: .*did you mean mixup.alpha"),
        (["mixup.alpha=1", "mixup.alpha=2"], "mixup.alpha is given twice"),
        (["mixup.alpha=-1"], "mixup.alpha=-1: must be"),
        (["experts.count=many"], "experts.count=many: must be"),
        (["experts.count=2.5"], "experts.count=2.5: must be"),
        (["experts.sharing=sharred"], "did you mean shared"),
    ],
)
def test_a_point_that_cannot_be_tried_is_refused(
    tiny_study: TinyStudy, assignments: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        parsed_point(tiny_study.spec, assignments)


def test_without_a_driver_a_point_waits_and_no_trial_can_be_stopped(
    tiny_study: TinyStudy, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tiny_study.runs, runs)
    done = CliRunner().invoke(
        try_command, ["tiny", "experts.count=2", "--runs", str(runs)], catch_exceptions=False
    )
    assert done.output == "no process runs the study: the next launch tries this point first\n"
    [pending] = pending_requests(StudyDirectory.of(runs, "tiny").requests)
    assert isinstance(pending, PendingRequest)
    assert pending.request == Request("try", point={"experts.count": 2})
    with pytest.raises(UserError, match="tiny: is not being run"):
        stop_trial("tiny", 3, runs=runs)
    with pytest.raises(UserError, match="no such study"):
        try_point("tinny", ["experts.count=2"], runs=runs)


def test_a_driver_that_ends_leaves_no_request(tiny_study: TinyStudy, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tiny_study.runs, runs)
    directory = StudyDirectory.of(runs, "tiny")
    lease = hold_lease(directory.lease)
    lease.__enter__()
    arguments = ["tiny", "--trial", "3", "--runs", str(runs)]

    def end_driver(seconds: float) -> None:
        lease.__exit__(None, None, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("balpoe.launch.steer.time.sleep", end_driver)
        with pytest.raises(UserError, match="its driver ended before it took the request"):
            CliRunner().invoke(stop, arguments, catch_exceptions=False)
    assert list(pending_requests(directory.requests)) == []


def test_a_finished_search_refuses_a_point(tiny_study: TinyStudy, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tiny_study.runs, runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("balpoe.launch.steer.search_is_over", lambda *_: True)
        with pytest.raises(UserError, match="tiny: the search is finished; raise its budget"):
            try_point("tiny", ["experts.count=2"], runs=runs)
    assert not StudyDirectory.of(runs, "tiny").requests.exists()


def test_a_driver_that_does_not_answer_is_named(tiny_study: TinyStudy, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tiny_study.runs, runs)
    directory = StudyDirectory.of(runs, "tiny")
    with hold_lease(directory.lease), pytest.MonkeyPatch.context() as patch:
        patch.setattr("balpoe.launch.steer._ANSWER_SECONDS", 0.1)
        with pytest.raises(UserError, match=r"tiny: its driver has not answered for 0 s"):
            stop_trial("tiny", 3, runs=runs)
    assert list(pending_requests(directory.requests)) == []
