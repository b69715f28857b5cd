"""The retry policy: how attempts at a trial are counted and what follows a failure.

Every repeat of a trial and every seed of a final training has one `RetryState`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from balpoe.study.trials.failures import FailureClass

MOST_DEATHS = 3

NextStep = Literal["retry", "fail", "stop"]
"""`retry` runs the trial again from its checkpoint, `fail` ends it, `stop` ends the launch."""


@dataclass(frozen=True, slots=True)
class RetryState:
    """The attempts at one repeat of a trial so far.

    `attempt` numbers the newest attempt from 0. An `exclusive` trial runs while no other trial
    does. `deaths` counts the deaths of its worker without progress, `death_epoch` is the highest
    epoch that was finished before a death (0: none).
    """

    attempt: int = 0
    exclusive: bool = False
    deaths: int = 0
    death_epoch: int = 0

    def next_attempt(self) -> RetryState:
        """Return the state with one more attempt."""
        return replace(self, attempt=self.attempt + 1)

    def after_death(self, epoch: int) -> RetryState:
        """Return the state after a death of the worker; `epoch` is the last one it finished.

        Progress is an epoch beyond those of all deaths before; after progress, counting restarts.
        """
        deaths = 1 if epoch > self.death_epoch else self.deaths + 1
        return replace(self, deaths=deaths, death_epoch=max(epoch, self.death_epoch))


def next_step(
    failure_class: FailureClass, state: RetryState, epoch: int
) -> tuple[NextStep, RetryState]:
    """Return what follows a failure of the newest attempt, and the retry state after it.

    Args:
        failure_class: The class of the failure.
        state: The attempts so far.
        epoch: The last epoch that the attempt finished, 0 for none.
    """
    match failure_class:
        case "infrastructure":
            state = state.after_death(epoch)
            return "retry" if state.deaths < MOST_DEATHS else "fail", state
        case "departure":
            return "retry", state
        case "resource" if not state.exclusive:
            return "retry", replace(state, exclusive=True)
        case "storage" | "unfit":
            return "stop", state
        case _:
            return "fail", state
