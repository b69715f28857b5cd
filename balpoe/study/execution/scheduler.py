"""Tune's scheduler: trials in the order of the searcher, stopped where they fall behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from balpoe.study.execution.searcher import StudySearcher

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class StudyScheduler(FIFOScheduler):
    """Asks `searcher`, which knows the study's trials, whether one goes on."""

    def __init__(self, searcher: StudySearcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray's
        self._searcher = searcher

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Whether the trial goes on."""
        is_stopped = self._searcher.stops_early(trial.trial_id, result)
        return FIFOScheduler.STOP if is_stopped else FIFOScheduler.CONTINUE
