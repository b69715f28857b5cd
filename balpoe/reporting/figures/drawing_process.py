"""Pictures of the predictions of several trials, drawn by processes at the same time.

A process is started for this module. It reads tasks from its standard input and writes their
pictures to its standard output, both pickled.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self

from balpoe.evaluation.prediction_summary import PredictionSummary
from balpoe.reporting.figures.drawing import Picture
from balpoe.reporting.figures.prediction_drawings import prediction_drawings
from balpoe.training.epoch import EpochResult

_MOST_PROCESSES: Final = 4
_FEWEST_TASKS: Final = 3
"""For fewer trials, the start of another process takes as long as it saves."""
_HEAD_START: Final = 2
"""The trials that a process draws while this one draws the figures of the study."""

Pictures = tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class DrawingTask:
    """The predictions of a trial to draw; see `prediction_drawings` and `Drawing.picture`."""

    summary: PredictionSummary
    subject: str
    history: Sequence[EpochResult]
    png: bool = False

    def pictures(self) -> Pictures:
        """Return its figures."""
        drawings = prediction_drawings(self.summary, self.subject, history=self.history)
        return tuple(drawing.picture(png=self.png) for drawing in drawings)


class DrawingProcesses:
    """Draws tasks in other processes from `__enter__` on, as far as there are cores for them."""

    def __init__(self, tasks: Sequence[DrawingTask]) -> None:
        cores = min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
        self._tasks = tasks
        self._others = max(0, min(cores, len(tasks) // _FEWEST_TASKS) - 1)
        own = max(0, len(tasks) - _HEAD_START * self._others) // (self._others + 1)
        self._given = len(tasks) - own if self._others else 0
        self._processes: list[_DrawingProcess] = []

    def __enter__(self) -> Self:
        given = self._tasks[: self._given]
        for n in range(self._others):
            self._processes.append(_DrawingProcess(given[n :: self._others]))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.end()

    def pictures(self) -> list[Pictures]:
        """Draw the last tasks here, and return the figures of all, in their order."""
        own = [task.pictures() for task in self._tasks[self._given :]]
        given: list[Pictures] = [()] * self._given
        for n, process in enumerate(self._processes):
            given[n :: self._others] = process.pictures()
        return given + own


class _DrawingProcess:
    """A process that draws tasks, as far as there is room for it.

    Files instead of pipes, so that neither side waits to write.
    """

    def __init__(self, tasks: Sequence[DrawingTask]) -> None:
        self._tasks = tasks
        self._output: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):
            self._start()

    def _start(self) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115, closed by `end`
        with tempfile.TemporaryFile() as given:
            pickle.dump(self._tasks, given)
            given.seek(0)
            # No fork: it can deadlock with the threads of other libraries. No multiprocessing: its
            # other start methods run the user's script again.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "balpoe.reporting.figures.drawing_worker"],
                stdin=given,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            )

    def pictures(self) -> list[Pictures]:
        """Wait for the figures; what no process has drawn is drawn here."""
        if self._output is None or self._process is None or self._process.wait() != 0:
            return [task.pictures() for task in self._tasks]
        self._output.seek(0)
        drawn: list[Pictures] = pickle.load(self._output)
        return drawn

    def end(self) -> None:
        """End the process, which is usually over."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._output is not None:
            self._output.close()
