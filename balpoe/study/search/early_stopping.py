"""Which trials of a study are stopped early: its rungs, rebuilt from the stored curves.

Tune forgets its schedulers with every launch. What came to a rung is therefore taken from the
curves on disk, of ended and unfinished trials alike; and a trial whose curve ends at a rung is
judged there before it is taken up again, as its driver may have died before entering its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from balpoe.config import Choice, HalvingConfig, StudySpec
from balpoe.config.constraints import excesses, total_violation
from balpoe.errors import NonFiniteError
from balpoe.study.search.halving import goes_on
from balpoe.study.trials.objectives import finite_objectives, losses
from balpoe.training.epoch import EpochResult


@dataclass(frozen=True, slots=True)
class Reached:
    """What a trial had reached at a rung, that is after `epoch`.

    `losses` are lower if better; `violation` is by how much it broke its constraints in all, as
    far as they could be judged there.
    """

    epoch: int
    objectives: Mapping[str, float]
    losses: tuple[float, ...]
    violation: float


class EarlyStopping:
    """Judges the trials of the study `spec` as they come to the rungs of `halving`.

    Known points are compared and never stopped: what the search gains is told against them.
    Trials with epochs of their own, as a known point may have, are not compared. A value that is
    missing or not finite never ranks and is no reason to stop: the trial's end will tell why.
    Constraints on metrics that only the last epoch has have no say here.
    """

    def __init__(self, spec: StudySpec, halving: HalvingConfig) -> None:
        self._objectives = spec.objectives
        self._constraints = spec.constraints_at_rungs
        self._reduction = halving.reduction
        self._known_points = [point.parameters for point in spec.points.points]
        self._reached: dict[int, dict[int, Reached]] = {rung: {} for rung in spec.rungs}
        self._judged: dict[int, int] = {}

    def rebuild(
        self, number: int, parameters: Mapping[str, Choice], curve: Sequence[EpochResult]
    ) -> None:
        """Enter the stored curve of trial `number`, which was judged wherever it went on from."""
        for result in curve:
            self._enter(number, parameters, result.epoch, result.metrics)
        if parameters in self._known_points:
            self._judged[number] = max(self._reached, default=0)
        elif curve:
            self._judged[number] = curve[-1].epoch - 1

    def judge(
        self,
        number: int,
        parameters: Mapping[str, Choice],
        epoch: int,
        metrics: Mapping[str, object],
    ) -> Reached | None:
        """With what trial `number` is stopped after `epoch`, just finished; None: it goes on."""
        self._enter(number, parameters, epoch, metrics)
        reached = self._reached.get(epoch, {}).get(number)
        if reached is None or parameters in self._known_points:
            return None
        return self._fallen_behind(number, reached)

    def judge_unfinished(self, number: int) -> Reached | None:
        """With what an unfinished trial is stopped where its curve ends; None: it goes on."""
        rungs = [entered[number] for entered in self._reached.values() if number in entered]
        return self._fallen_behind(number, rungs[-1]) if rungs else None

    def _enter(
        self,
        number: int,
        parameters: Mapping[str, Choice],
        epoch: int,
        metrics: Mapping[str, object],
    ) -> None:
        """Enter what a trial has at a rung; it has one place there, however often it comes."""
        if epoch not in self._reached or "training.epochs" in parameters:
            return
        try:
            objectives = finite_objectives(metrics, self._objectives)
            constrained = finite_objectives(metrics, self._constraints)
        except NonFiniteError:
            return
        loss = losses(objectives, self._objectives)
        violation = total_violation(excesses(self._constraints, constrained))
        self._reached[epoch][number] = Reached(epoch, objectives, loss, violation)

    def _fallen_behind(self, number: int, reached: Reached) -> Reached | None:
        if reached.epoch <= self._judged.get(number, 0):
            return None
        self._judged[number] = reached.epoch
        others = self._reached[reached.epoch].values()
        loss_nm = np.array([other.losses for other in others])
        violation_n = np.array([other.violation for other in others])
        loss_m = np.array(reached.losses)
        if goes_on(loss_m, reached.violation, loss_nm, violation_n, self._reduction):
            return None
        return reached
