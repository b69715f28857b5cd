from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch

from balpoe.errors import NonFiniteError
from balpoe.study.trials.failures import FEWEST_ALIKE, Failure, FirstTrials, failure_of

DIVERGED = Failure("deterministic", "the loss of epoch 3 is not finite at 0.1")


def test_a_lack_of_memory_is_a_failure_of_resources_wherever_it_arises() -> None:
    with pytest.raises(RuntimeError) as on_host:
        torch.empty(2**60)
    with pytest.raises(MemoryError) as in_numpy:
        np.empty(2**57)
    on_device = (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    )
    for error in (on_host.value, in_numpy.value, *on_device):
        assert failure_of(error).kind == "resource"


def test_any_other_exception_is_deterministic_and_told_in_a_sentence() -> None:
    assert failure_of(KeyError("x")) == Failure("deterministic", "KeyError: 'x'")
    assert failure_of(NonFiniteError("ece is nan")) == Failure("deterministic", "ece is nan")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_failure_of_storage_whoever_writes_to_it(code: int) -> None:
    failure = failure_of(OSError(code, os.strerror(code), "/tmp/cache"))
    assert failure.kind == "storage"
    assert "'/tmp/cache'; free some space" in failure.reason
    assert failure_of(OSError(errno.EIO, "broken")).kind == "deterministic"


def test_the_first_trials_are_more_than_run_at_a_time_and_three_at_least() -> None:
    for concurrent, first in ((1, FEWEST_ALIKE), (2, FEWEST_ALIKE), (5, 6)):
        first_trials = FirstTrials(concurrent)
        told = [first_trials.all_fail_alike(DIVERGED) for _ in range(first + 1)]
        assert told == [False] * (first - 1) + [True, False]


def test_failures_that_differ_in_numbers_only_are_alike() -> None:
    first_trials = FirstTrials(1)
    reasons = ("epoch 3 at 0.1", "epoch 12 at 1e-05", "epoch 1 at 2.5")
    assert [first_trials.all_fail_alike(Failure("deterministic", reason)) for reason in reasons][-1]


@pytest.mark.parametrize(
    "other", [Failure("resource", DIVERGED.reason), Failure("deterministic", "no such file")]
)
def test_one_failure_of_another_kind_is_not_alike(other: Failure) -> None:
    first_trials = FirstTrials(1)
    assert not any(first_trials.all_fail_alike(failure) for failure in (DIVERGED, other, DIVERGED))


def test_one_complete_trial_shows_that_the_study_works() -> None:
    first_trials = FirstTrials(1)
    first_trials.succeeded()
    assert not any(first_trials.all_fail_alike(DIVERGED) for _ in range(5))
