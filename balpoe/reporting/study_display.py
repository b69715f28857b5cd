"""A running study on screen: a live panel, or plain lines if the console is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Console
from rich.live import Live
from rich.text import Text

from balpoe.config import StudySpec
from balpoe.reporting.live_display import LiveDisplay
from balpoe.reporting.race_forecast import RaceForecast
from balpoe.reporting.study_panel import study_panel, trial_line
from balpoe.reporting.study_progress import StudyProgress, study_progress
from balpoe.study.trials.events import (
    AttemptEnded,
    EpochReported,
    StopRequested,
    StudyEvent,
    TrialEnded,
    TrialEvent,
    TrialStarted,
    WarmStarted,
)
from balpoe.study.trials.record import TrialIdentity, TrialRecord

_REFRESHES_PER_SECOND = 4
_STOPPING = (
    "stopping: the running trials finish their epoch and save a checkpoint; "
    "Ctrl-C once more stops at once"
)
_STOPPING_FOR = "stopping when the running trials have finished their epoch and saved a checkpoint"


class StudyDisplay(LiveDisplay[StudyEvent]):
    """Shows a study by its events."""

    def __init__(
        self,
        spec: StudySpec,
        console: Console,
        *,
        earlier: Sequence[TrialRecord] = (),
        launches: Sequence[float] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        """Begin with the records of earlier launches.

        Args:
            spec: The study.
            console: The console to print to.
            earlier: The trials and repeats of earlier launches.
            launches: The Unix times at which the earlier launches began.
            now: Returns the Unix time.
        """
        self._spec = spec
        self._now = now
        self._launches = (*launches, now())
        self._forecast = RaceForecast(spec)
        self._records = {_key(record.identity): record for record in earlier}
        live = Live(
            get_renderable=lambda: study_panel(self._progress()),
            console=console,
            refresh_per_second=_REFRESHES_PER_SECOND,
        )
        super().__init__(console, live)

    def __call__(self, news: StudyEvent) -> None:
        """Record an event; print a line for an ended trial if the console is no terminal."""
        if isinstance(news, StopRequested):
            self._print(_STOPPING if news.reason is None else f"{_STOPPING_FOR}: {news.reason}")
            return
        if isinstance(news, WarmStarted):
            self._print(str(news))
            return
        record = self._updated(news)
        self._records[_key(news.identity)] = record
        if self._live is None and isinstance(news, TrialEnded):
            self._print(trial_line(record, self._progress()))

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def _updated(self, event: TrialEvent) -> TrialRecord:
        """The record of the event's trial after the event."""
        known = self._records.get(_key(event.identity), _new_record(event.identity, self._now()))
        match event:
            case TrialStarted():
                return replace(
                    known, identity=event.identity, parameters=event.parameters, state="RUNNING"
                )
            case EpochReported():
                # by the clock of this host, as the rest of the display
                result = replace(event.result, unix_time=self._now(), metrics=event.metrics)
                earlier = (past for past in known.history if past.epoch < event.epoch)
                return replace(known, history=(*earlier, result))
            case AttemptEnded():
                return replace(known, failure=event.failure)
            case TrialEnded():
                return replace(
                    known,
                    state=event.state,
                    objectives=event.objectives,
                    failure=event.failure,
                    violations=event.violations,
                    ended=self._now(),
                )

    def _progress(self) -> StudyProgress:
        return study_progress(
            self._spec,
            list(self._records.values()),
            launches=self._launches,
            now=self._now(),
            forecast=self._forecast,
        )


def _key(identity: TrialIdentity) -> tuple[int, int]:
    return identity.number, identity.repeat


def _new_record(identity: TrialIdentity, now: float) -> TrialRecord:
    return TrialRecord(
        identity=identity,
        parameters={},
        state="RUNNING",
        history=(),
        objectives=None,
        failure=None,
        data_fingerprint="",
        started=now,
        ended=None,
    )
