"""The record of one trial: who it is, what it tried, how it went. Plain data, no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from balpoe.config import Choice
from balpoe.study.trials.failures import FailureClass
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
class TrialRecord:
    """All that is recorded of one trial.

    `parameters` are the searched fields by dotted path, `objectives` the values told to
    Optuna (None until the trial is COMPLETE), `failure` why it failed. `data_fingerprint` is known
    once the trial is COMPLETE. `violations` are the constraints that it breaks, and how far it is
    beyond each, as a fraction of the bound. Times in Unix seconds.
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
