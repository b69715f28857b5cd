"""The clock of a study, asked from another process."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest
import ray
from ray.actor import ActorHandle

from balpoe.study.execution import study_clock
from balpoe.study.execution.study_clock import SteadyClock, clock_of, start_timekeeper


def test_a_clock_goes_on_with_the_monotonic_one() -> None:
    now = time.monotonic()
    clock = SteadyClock(unix_time=1000.0, monotonic=now - 5)
    first, second = clock(), clock()
    passed = time.monotonic() - now
    assert 1005 <= first <= second <= 1005 + passed + 1e-6


@pytest.mark.usefixtures("local_ray")
def test_a_worker_has_the_time_of_the_driver_whatever_its_own_clock_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timekeeper = start_timekeeper()
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 3600)
    asked = time.monotonic()
    now = clock_of(timekeeper)
    answer_seconds = time.monotonic() - asked  # a loaded machine is slow to answer
    assert now() == pytest.approx(right(), abs=0.5 + answer_seconds)


@pytest.mark.usefixtures("local_ray")
def test_where_nobody_answers_it_is_the_clock_of_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(study_clock, "TIMEOUT_SECONDS", 5.0)
    timekeeper = start_timekeeper()
    ray.kill(cast("ActorHandle[Any]", timekeeper))
    assert clock_of(timekeeper)() == pytest.approx(time.time(), abs=0.5)
