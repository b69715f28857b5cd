"""The events of a running study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from balpoe.config import Choice
from balpoe.study.trials.failures import FailureClass
from balpoe.study.trials.record import TrialIdentity
from balpoe.training.epoch import EpochResult


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """An attempt at a trial was given to a worker."""

    identity: TrialIdentity
    parameters: Mapping[str, Choice]


@dataclass(frozen=True, slots=True)
class EpochReported:
    """A trial finished an epoch.

    `metrics` are the objectives, where the epoch was evaluated; `result` has all metrics.
    """

    identity: TrialIdentity
    epoch: int
    metrics: Mapping[str, float]
    result: EpochResult = field(compare=False)


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt at a trial ended and the trial stays unfinished.

    The trial was stopped with the study, or the attempt failed for the reason `failure`; it is
    resumed in this launch or in the next one.
    """

    identity: TrialIdentity
    failure: str | None = None
    failure_class: FailureClass | None = None


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """A trial ended and its end is recorded; `violations` are the violated constraints."""

    identity: TrialIdentity
    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    objectives: Mapping[str, float] | None = None
    failure: str | None = None
    failure_class: FailureClass | None = None
    violations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The study stops once the running trials have finished their epochs.

    `reason` is None where the user asked for it.
    """

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class WarmStarted:
    """The sampler learns from the `trials` of an earlier study, given by their numbers there.

    `outside` counts the trials left out because they are outside the search space.
    """

    study: str
    trials: tuple[int, ...]
    outside: int

    def __str__(self) -> str:
        """`warm start from digits_small: 11 trials (1 outside the search space)`."""
        trials = "1 trial" if len(self.trials) == 1 else f"{len(self.trials)} trials"
        outside = f" ({self.outside} outside the search space)" if self.outside else ""
        return f"warm start from {self.study}: {trials}{outside}"


StateChange = TrialStarted | AttemptEnded | TrialEnded
TrialEvent = StateChange | EpochReported
StudyEvent = TrialEvent | StopRequested | WarmStarted
Listener = Callable[[StudyEvent], None]
