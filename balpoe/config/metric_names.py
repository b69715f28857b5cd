"""The names of the metrics that evaluation computes and that a study may have as objectives."""

from __future__ import annotations

from typing import Final

from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS

METRICS: Final = (
    "accuracy",
    "balanced_accuracy",
    "accuracy_many",
    "accuracy_medium",
    "accuracy_few",
    "nll",
    "ece",
    "mce",
    "kl_to_target_prior",
    "kl_to_target_prior_matched",
)
"""One value each for the ensemble and for every expert; METHOD §1 defines them."""

SHIFT_METRICS: Final = ("accuracy", "ece")
"""What is told of the ensemble on a shifted distribution."""

VALIDATION_METRICS: Final = tuple(f"val/{metric}" for metric in METRICS)
"""The ensemble on the validation split."""

SHIFTED_METRICS: Final = tuple(
    f"val/{shift.name}{known}/{metric}"
    for shift in SHIFTS
    for known in ("", KNOWN_PRIOR)
    for metric in SHIFT_METRICS
)
"""The ensemble on the validation split as if its classes were distributed otherwise."""

OBJECTIVES: Final = VALIDATION_METRICS + SHIFTED_METRICS
"""What a search may go by: it sees the validation split and nothing else."""
