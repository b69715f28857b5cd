"""What happens in a study while it runs, for those who watch it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from balpoe.config import Choice
from balpoe.study.trials.failures import FailureClass
from balpoe.study.trials.record import TrialIdentity, TrialState


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """A trial was handed to a worker."""

    identity: TrialIdentity
    parameters: Mapping[str, Choice]


@dataclass(frozen=True, slots=True)
class EpochReported:
    """A trial finished an epoch; `metrics` are the objectives, where it was evaluated."""

    identity: TrialIdentity
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """A trial is over, and Optuna knows it; `violations` are the constraints that it breaks.

    RUNNING: stopped, or failed for a reason that may not come again; it is to be taken up.
    """

    identity: TrialIdentity
    state: TrialState
    objectives: Mapping[str, float] | None = None
    failure: str | None = None
    failure_class: FailureClass | None = None
    violations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The study is to stop, for a `reason` unless it was asked to.

    What runs goes on to the end of its epoch.
    """

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class WarmStarted:
    """The sampler knows the `trials` of an earlier study, by their numbers there.

    So many more were left out as `outside` of the search space.
    """

    study: str
    trials: tuple[int, ...]
    outside: int

    def __str__(self) -> str:
        """`warm start from digits_small: 11 trials (1 outside the search space)`."""
        trials = "1 trial" if len(self.trials) == 1 else f"{len(self.trials)} trials"
        outside = f" ({self.outside} outside the search space)" if self.outside else ""
        return f"warm start from {self.study}: {trials}{outside}"


TrialEvent = TrialStarted | EpochReported | TrialEnded
StudyEvent = TrialEvent | StopRequested | WarmStarted
Listener = Callable[[StudyEvent], None]
