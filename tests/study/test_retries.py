"""The retry policy as a table: from a failure and the attempts so far to what follows."""

from __future__ import annotations

import pytest

from balpoe.study.trials.failures import FailureClass
from balpoe.study.trials.retries import NextStep, RetryState, next_step

NEW = RetryState()
EXCLUSIVE = RetryState(attempt=1, exclusive=True)


@pytest.mark.parametrize(
    ("failure_class", "before", "epoch", "step", "after"),
    [
        ("deterministic", NEW, 3, "fail", NEW),
        ("storage", NEW, 3, "stop", NEW),
        ("unfit", NEW, 0, "stop", NEW),
        ("departure", NEW, 0, "retry", NEW),
        ("departure", RetryState(5, False, 2, 4), 0, "retry", RetryState(5, False, 2, 4)),
        ("resource", NEW, 0, "retry", RetryState(exclusive=True)),
        ("resource", RetryState(3, False, 2, 4), 5, "retry", RetryState(3, True, 2, 4)),
        ("resource", EXCLUSIVE, 5, "fail", EXCLUSIVE),
        ("infrastructure", NEW, 0, "retry", RetryState(0, False, 1, 0)),
        ("infrastructure", NEW, 2, "retry", RetryState(0, False, 1, 2)),
        ("infrastructure", RetryState(1, False, 1, 0), 0, "retry", RetryState(1, False, 2, 0)),
        ("infrastructure", RetryState(2, False, 2, 0), 0, "fail", RetryState(2, False, 3, 0)),
        ("infrastructure", RetryState(2, True, 2, 4), 5, "retry", RetryState(2, True, 1, 5)),
        ("infrastructure", RetryState(2, False, 2, 4), 4, "fail", RetryState(2, False, 3, 4)),
        ("infrastructure", RetryState(2, False, 2, 4), 2, "fail", RetryState(2, False, 3, 4)),
    ],
)
def test_what_follows_a_failure(
    failure_class: FailureClass, before: RetryState, epoch: int, step: NextStep, after: RetryState
) -> None:
    assert next_step(failure_class, before, epoch) == (step, after)


def test_one_more_attempt_changes_nothing_else() -> None:
    state = RetryState(2, True, 1, 5)
    assert state.next_attempt() == RetryState(3, True, 1, 5)
