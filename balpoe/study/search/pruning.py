"""Early stopping: which trials of a study are pruned at the rungs of successive halving.

Tune keeps no scheduler state between launches, so the rungs are rebuilt from the stored curves of
ended and unfinished trials. A trial whose curve ends at a rung is judged there before it is
resumed: its driver may have died before it recorded that the trial was pruned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from balpoe.config import Choice, HalvingConfig, StudySpec
from balpoe.config.constraints import excesses, total_violation
from balpoe.errors import NonFiniteError
from balpoe.study.search.halving import is_promoted
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.objectives import finite_objectives, losses
from balpoe.study.trials.record import TrialRecord
from balpoe.training.epoch import EpochResult


@dataclass(frozen=True, slots=True)
class StoppedAt:
    """The objectives, if they were evaluated, after the `epoch` at which a trial was stopped."""

    epoch: int
    objectives: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RungResult(StoppedAt):
    """The result of a trial at a rung.

    Lower `losses` are better. `violation` is the total excess over those constraints that can be
    judged at a rung.
    """

    losses: tuple[float, ...]
    violation: float


class EarlyStopping:
    """Judges the trials of the study `spec` when they reach the rungs of `halving`.

    Known points are compared but never pruned: the gain of the search is measured against them.
    Trials with their own number of epochs, as a known point may have, are not compared. A trial
    with a missing or non-finite value is neither ranked nor pruned; it fails at its end.
    Constraints on metrics that exist only after the last epoch are ignored.
    """

    def __init__(self, spec: StudySpec, halving: HalvingConfig) -> None:
        self._has_own_epochs = spec.has_own_epochs
        self._objectives = spec.objectives
        self._constraints = spec.constraints_at_rungs
        self._reduction = halving.reduction
        self._known_points = [point.parameters for point in spec.points.points]
        self._rungs: dict[int, dict[int, RungResult]] = {rung: {} for rung in spec.rungs}
        self._last_judged: dict[int, int] = {}

    def rebuild(
        self, number: int, parameters: Mapping[str, Choice], curve: Sequence[EpochResult]
    ) -> None:
        """Add the stored curve of trial `number`, which was judged at every rung but the last."""
        for result in curve:
            self._add(number, parameters, result.epoch, result.metrics)
        if parameters in self._known_points:
            self._last_judged[number] = max(self._rungs, default=0)
        elif curve:
            self._last_judged[number] = curve[-1].epoch - 1

    def judge(
        self,
        number: int,
        parameters: Mapping[str, Choice],
        epoch: int,
        metrics: Mapping[str, object],
    ) -> RungResult | None:
        """Return the result with which trial `number` is pruned after `epoch`, or None."""
        self._add(number, parameters, epoch, metrics)
        result = self._rungs.get(epoch, {}).get(number)
        if result is None or parameters in self._known_points:
            return None
        return self._pruned(number, result)

    def judge_unfinished(self, number: int) -> RungResult | None:
        """Return the result with which an unfinished trial is pruned before it resumes, or None."""
        results = [rung[number] for rung in self._rungs.values() if number in rung]
        return self._pruned(number, results[-1]) if results else None

    def _add(
        self,
        number: int,
        parameters: Mapping[str, Choice],
        epoch: int,
        metrics: Mapping[str, object],
    ) -> None:
        """Add a trial to a rung; a trial that reaches the rung again replaces its own result."""
        if epoch not in self._rungs or self._has_own_epochs(parameters):
            return
        try:
            objectives = finite_objectives(metrics, self._objectives)
            constrained = finite_objectives(metrics, self._constraints)
        except NonFiniteError:
            return
        loss = losses(objectives, self._objectives)
        violation = total_violation(excesses(self._constraints, constrained))
        self._rungs[epoch][number] = RungResult(epoch, objectives, loss, violation)

    def _pruned(self, number: int, result: RungResult) -> RungResult | None:
        """Return `result` if the trial is pruned with it; each rung is judged once."""
        if result.epoch <= self._last_judged.get(number, 0):
            return None
        self._last_judged[number] = result.epoch
        rung = self._rungs[result.epoch].values()
        loss_m, loss_nm = np.array(result.losses), np.array([each.losses for each in rung])
        violation_n = np.array([each.violation for each in rung])
        if is_promoted(loss_m, result.violation, loss_nm, violation_n, self._reduction):
            return None
        return result


def early_stopping_of(
    spec: StudySpec, directory: StudyDirectory, trials: Iterable[TrialRecord]
) -> EarlyStopping | None:
    """Return the early stopping of a study with the stored curves of its `trials`, if it has any.

    Raises:
        CorruptFile: the metrics of a trial are damaged.
    """
    if spec.early_stopping is None:
        return None
    stopping = EarlyStopping(spec, spec.early_stopping)
    for trial in trials:
        path = directory.trial(trial.identity).metrics
        if path.exists():
            stopping.rebuild(trial.identity.number, trial.parameters, read_metrics(path))
    return stopping
