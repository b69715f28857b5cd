from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from balpoe.reporting.figures.drawing_process import DrawingProcesses, DrawingTask, Pictures
from balpoe.training.epoch import EpochResult
from tests.reporting.figures.summaries import invented_summary

HISTORY = [EpochResult(e, e, {"val/confidence": 0.1 * e, "val/accuracy": 0.1}) for e in (1, 2)]
TASKS = [
    DrawingTask(invented_summary(1, 4, seed=n), f"trial {n} <&>", HISTORY, png=n == 1)
    for n in range(6)
]
DRAW = DrawingTask.pictures


@pytest.fixture
def drawn_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subjects that this process draws; it has two cores."""
    subjects: list[str] = []

    def pictures(task: DrawingTask) -> Pictures:
        subjects.append(task.subject)
        return DRAW(task)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(DrawingTask, "pictures", pictures)
    return subjects


def test_a_process_draws_most_of_the_trials_as_this_one_does(drawn_here: list[str]) -> None:
    with DrawingProcesses(TASKS) as processes:
        found = processes.pictures()
    assert drawn_here == [f"trial {n} <&>" for n in (4, 5)]
    assert found == [DRAW(task) for task in TASKS]
    assert [picture.name for picture in found[0]][:2] == ["reliability", "class_accuracy"]
    assert [of_task[0].png is not None for of_task in found] == [n == 1 for n in range(6)]


def test_what_a_process_failed_to_draw_is_drawn_here(
    drawn_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with DrawingProcesses(TASKS) as processes:
        found = processes.pictures()
    assert len(drawn_here) == len(TASKS)
    assert found == [DRAW(task) for task in TASKS]


@pytest.mark.parametrize("lacking", ["tempfile.TemporaryFile", "subprocess.Popen"])
def test_without_room_for_files_or_processes_all_is_drawn_here(
    drawn_here: list[str], monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise BlockingIOError("no room")

    monkeypatch.setattr(lacking, refuse)
    with DrawingProcesses(TASKS) as processes:
        found = processes.pictures()
    assert len(drawn_here) == len(TASKS)
    assert [of_task[0].name for of_task in found] == ["reliability"] * len(TASKS)


def test_few_trials_are_drawn_without_another_process(
    drawn_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with DrawingProcesses(TASKS[:5]) as processes:
        assert len(processes.pictures()) == len(drawn_here) == 5


def test_processes_end_where_drawing_here_fails(
    monkeypatch: pytest.MonkeyPatch, drawn_here: list[str]
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    with pytest.raises(ZeroDivisionError), DrawingProcesses(TASKS):
        _ = 1 / 0
    assert [process.returncode is not None for process in started] == [True]
    assert not drawn_here
