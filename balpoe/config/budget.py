"""How far a study goes, and what each of its trials gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from balpoe.config.bounds import Bounded, Count, NonNegative, Positive
from balpoe.errors import FieldProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig(Bounded):
    """Where a study ends: no trial is begun once one of these is spent, and those begun finish.

    `trials` are finished ones, `wall_hours` those of all launches, `device_hours` those of all
    trials times their devices (a trial without a GPU has one device).
    """

    trials: Count | None = None
    wall_hours: Positive | None = None
    device_hours: Positive | None = None

    def further_problems(self) -> Iterator[FieldProblem]:
        """A study must end."""
        if self.trials is None and self.wall_hours is None and self.device_hours is None:
            yield FieldProblem("trials", "must be given, or wall_hours, or device_hours")

    @property
    def in_words(self) -> str:
        """``12 trials or 1.5 wall hours``."""
        limits = (
            (self.trials, "trials"),
            (self.wall_hours, "wall hours"),
            (self.device_hours, "device hours"),
        )
        return " or ".join(f"{limit:g} {name}" for limit, name in limits if limit is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceConfig(Bounded):
    """The race of configurations for further seeds: see `balpoe.study.selection.race`.

    With fewer than three seeds a configuration is close to another where their means differ by
    no more than `margin` standard errors in any objective; with 0 only the front races.
    """

    margin: NonNegative = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesConfig(Bounded):
    """What one trial gets, and how many trials run at a time.

    With `share_gpus` a trial gets that part of its GPU which trials of its shape were measured to
    need, and the whole where none was. `concurrent_trials` still bounds how many run.
    """

    cpus_per_trial: Count = 1
    gpus_per_trial: NonNegative = 0.0
    concurrent_trials: Count = 2
    share_gpus: bool = False

    def further_problems(self) -> Iterator[FieldProblem]:
        """Only a single GPU can be shared."""
        if self.share_gpus and self.gpus_per_trial != 1:
            message = f"needs gpus_per_trial: 1, got {self.gpus_per_trial:g}"
            yield FieldProblem("share_gpus", message)

    @property
    def devices_per_trial(self) -> float:
        """GPUs, or one CPU share."""
        return self.gpus_per_trial or 1.0
