"""The budget of a study, and the resources of its trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from balpoe.config.bounds import Bounded, Count, NonNegative, Positive
from balpoe.errors import FieldProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig(Bounded):
    """The budget of a study: no trial starts once one limit is reached; running trials finish.

    Args:
        trials: Number of finished trials.
        wall_hours: Duration of all launches together, in hours.
        device_hours: Sum over trials of duration times devices, in hours; a trial without a
            GPU has one device.
    """

    trials: Count | None = None
    wall_hours: Positive | None = None
    device_hours: Positive | None = None

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require at least one limit."""
        if self.trials is None and self.wall_hours is None and self.device_hours is None:
            yield FieldProblem("trials", "must be given, or wall_hours, or device_hours")

    @property
    def in_words(self) -> str:
        """The limits as text: ``12 trials or 1.5 wall hours``."""
        limits = (
            (self.trials, "trials"),
            (self.wall_hours, "wall hours"),
            (self.device_hours, "device hours"),
        )
        return " or ".join(f"{limit:g} {name}" for limit, name in limits if limit is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceConfig(Bounded):
    """The trials beside the front that get further seeds; see `balpoe.study.selection.race`.

    With fewer than three seeds, a configuration is close to another if their means differ by at
    most `margin` standard errors in every objective. With 0 only the front is included.
    """

    margin: NonNegative = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesConfig(Bounded):
    """The resources of one trial, and the number of concurrent trials.

    With `share_gpus` a trial reserves the fraction of a GPU that trials of its shape were
    measured to need, and a whole GPU if there is no measurement yet. `concurrent_trials` bounds
    the number of running trials in either case.
    """

    cpus_per_trial: Count = 1
    gpus_per_trial: NonNegative = 0.0
    concurrent_trials: Count = 2
    share_gpus: bool = False

    def further_problems(self) -> Iterator[FieldProblem]:
        """Allow `share_gpus` with exactly one GPU per trial."""
        if self.share_gpus and self.gpus_per_trial != 1:
            message = f"needs gpus_per_trial: 1, got {self.gpus_per_trial:g}"
            yield FieldProblem("share_gpus", message)

    @property
    def devices_per_trial(self) -> float:
        """The number of GPUs, or 1 for a trial on CPUs."""
        return self.gpus_per_trial or 1.0
