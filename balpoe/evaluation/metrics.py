"""The metrics of one scorer, and those of an ensemble with its experts.

C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from balpoe.method.calibration import ReliabilityBins
from balpoe.method.longtail import ShotGroup


@dataclass(frozen=True, eq=False, slots=True)
class Metrics:
    """How one scorer does on one split; accuracies are fractions, `nll` and divergences nats.

    `shot_accuracy` maps many, medium and few to the mean accuracy of the group's classes that
    the split holds; a group without any is absent. `class_accuracy_c` is float64 [C], NaN for
    a class without images. The two divergences are KL(target prior ‖ estimated marginal):
    from the mean prediction over classes in equal parts, and over classes in the target
    prior's own parts ("matched"), which is 0 for a calibrated expert.
    """

    accuracy: float
    balanced_accuracy: float
    shot_accuracy: Mapping[ShotGroup, float]
    class_accuracy_c: Tensor
    nll: float
    kl_to_target_prior: float
    kl_to_target_prior_matched: float
    bins: ReliabilityBins

    def scalars(self) -> dict[str, float]:
        """The metrics that are single numbers, by name."""
        return {
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            **{f"accuracy_{group}": value for group, value in self.shot_accuracy.items()},
            "nll": self.nll,
            "ece": self.bins.ece,
            "mce": self.bins.mce,
            "kl_to_target_prior": self.kl_to_target_prior,
            "kl_to_target_prior_matched": self.kl_to_target_prior_matched,
        }


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """The metrics of the product of experts, and of each expert alone."""

    ensemble: Metrics
    experts: tuple[Metrics, ...]

    def scalars(self, split: str) -> dict[str, float]:
        """All single numbers as `<split>/<metric>` and `<split>/expert_<i>/<metric>`."""
        owners = {split: self.ensemble}
        owners |= {f"{split}/expert_{i}": expert for i, expert in enumerate(self.experts)}
        return {
            f"{owner}/{name}": value
            for owner, metrics in owners.items()
            for name, value in metrics.scalars().items()
        }
