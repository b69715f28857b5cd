"""The names of the metrics that evaluation computes and that a study may have as objectives."""

from __future__ import annotations

from typing import Final

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

OBJECTIVES: Final = tuple(f"val/{metric}" for metric in METRICS)
"""A search sees the ensemble on the validation split and nothing else."""
