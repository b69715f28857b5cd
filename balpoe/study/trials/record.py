"""One trial as plain data: its identity, what is to be run, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from balpoe.config import Choice
from balpoe.study.trials.failures import FailureClass
from balpoe.study.trials.retries import RetryState
from balpoe.training.epoch import EpochResult

TrialState = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL"]


@dataclass(frozen=True, slots=True)
class TrialIdentity:
    """Study, trial number, repeat (0 is the search's own seed) and attempt (restarts)."""

    study: str
    number: int
    repeat: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class TrialToRun:
    """One repeat of a trial to run now, with the attempts at it so far."""

    identity: TrialIdentity
    parameters: Mapping[str, Choice]
    retries: RetryState = field(default_factory=RetryState)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt `number` at a repeat of a trial: where a worker began it, and when.

    `started` is in Unix seconds, `gpus` are the identifiers of the GPUs of `host` that it had.
    """

    number: int
    started: float
    host: str
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """What is recorded of one repeat of a trial.

    `parameters` are the searched fields by dotted path, `objectives` the values reported to Optuna
    (None until the trial is COMPLETE), `failure` the reason why it failed. `history` and
    `data_fingerprint` come from the trial's files and are empty where those were not read.
    `attempts`, those that a worker began, come from the files too; trials of earlier versions have
    none.
    `violations` are the violated constraints with the excess over each, as a fraction of the bound.
    Times are in Unix seconds.
    """

    identity: TrialIdentity
    parameters: Mapping[str, Choice]
    state: TrialState
    history: tuple[EpochResult, ...]
    objectives: Mapping[str, float] | None
    failure: str | None
    data_fingerprint: str | None
    started: float
    ended: float | None
    failure_class: FailureClass | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
